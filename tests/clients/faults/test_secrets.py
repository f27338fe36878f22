"""Secrets are nowhere in clear: not in logs, errors, process lists, files or environments."""

import json
import pathlib
import re
import sqlite3

import pymysql
import pytest

from harness.api import ApiError, endpoint_of, query_of, signed_parameters

FIRST, SECOND, WRONG, BAD, PLAIN = "Fir5t-Secret_A1", "Sec0nd-Secret_B2", "Wr0ng-Secret_C3", "bad secret D4", "Pla1n-Secret_E5"


@pytest.fixture(scope="module")
def told():
    """A service with a talkative log that was told many secrets in right and in wrong ways."""
    from harness.service import Service

    service = Service({"log": {"level": "debug"}})
    try:
        service.start()
        api = service.api()
        instance_id = api.order(AccountPassword=FIRST, ClientToken="t")["InstanceId"]
        endpoint = endpoint_of(api.wait_active(instance_id))
        api.call("CreateAccount", InstanceId=instance_id, AccountName="bob", AccountPassword=SECOND, DBName="shop")
        answers = []
        for wrong in [{"AccountPassword": BAD}, {"AccountName": "root", "AccountPassword": WRONG}, {"NodeNumber": "x", "AccountPassword": WRONG}]:
            with pytest.raises(ApiError) as caught:
                api.order(**wrong)
            answers.append(str(caught.value))
        # Over plain HTTP, refused; wrongly signed; and with the password as an unknown parameter.
        credentials = service.credentials
        for secret, https in [(credentials["access_key_secret"], False), ("wrong", True)]:
            parameters = signed_parameters(
                "CreateAccount", {"AccountPassword": PLAIN, "InstanceId": instance_id, "AccountName": "carl"},
                credentials["access_key_id"], secret,
            )  # fmt: skip
            status, _, body = api.raw("GET", "/?" + query_of(parameters), https=https)
            assert status == 400
            answers.append(body.decode())
        host, port = endpoint
        for user, password in [("alice", FIRST), ("bob", SECOND)]:
            pymysql.connect(host=host, port=port, user=user, password=password).close()
        with pytest.raises(pymysql.err.OperationalError):
            pymysql.connect(host=host, port=port, user="alice", password=WRONG)
        yield service, answers
        api.delete(instance_id)
        assert service.stop() == 0
    finally:
        service.destroy()


def secrets(service):
    """What must not be found, as bytes."""
    return [text.encode() for text in (FIRST, SECOND, WRONG, BAD, PLAIN, service.credentials["access_key_secret"])]


def clean(content, service, where):
    for secret in secrets(service):
        assert secret not in content, f"{secret!r} in {where}"
    # As they travel in a query.
    for secret in secrets(service):
        assert query_of({"": secret.decode()}).lstrip("=").encode() not in content, f"{secret!r} encoded in {where}"


def test_not_in_the_log(told):
    service, _ = told
    log = service.log_path.read_bytes()
    assert b"CreateInstance" in log, "the log says too little for this test to mean anything"
    clean(log, service, "the log")
    assert b"Signature=" not in log


def test_not_in_answers(told):
    service, answers = told
    # An SDK prints errors; only what the client itself signed may be told back to it.
    for answer in answers:
        clean(re.sub(r"server string to sign is:.*", "", answer).encode(), service, "an answer")


def test_not_in_files(told):
    service, _ = told
    searched = 0
    for root in {service.data_dir, service.node_root()}:
        for path in root.rglob("*"):
            if path.is_file() and path.name != "credentials.json":
                clean(path.read_bytes(), service, path)
                searched += 1
    assert searched > 20


def test_not_in_processes(told):
    service, _ = told
    nodes = service.node_pids()
    assert nodes
    for pid in [service.pid, *nodes]:
        for name in ("cmdline", "environ"):
            content = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            clean(content, service, f"{name} of {pid}")
            assert b"assword=" not in content


def test_accounts_of_nodes_are_sealed(told):
    """The binary log of a node shows no statement that sets a password in clear."""
    service, _ = told
    for path in service.node_root().rglob("*"):
        if path.is_file() and "bin" in path.name:
            for found in re.findall(rb"IDENTIFIED BY[^;]{0,60}", path.read_bytes()):
                assert b"PASSWORD" in found, f"{found!r} in {path}"


def test_audit_rows_hold_no_secret(told):
    service, _ = told
    with sqlite3.connect(f"file:{service.data_dir}/store.sqlite3?mode=ro", uri=True) as store:
        rows = store.execute("SELECT action, parameters FROM audit").fetchall()
    assert {"CreateInstance", "CreateAccount"} <= {action for action, _ in rows}
    clean(json.dumps(rows).encode(), service, "the audit")


def test_files_are_for_the_owner_only(told):
    service, _ = told
    for name in ("credentials.json", "store.key", "store.sqlite3"):
        mode = (service.data_dir / name).stat().st_mode & 0o777
        assert mode == 0o600, f"{name} has mode {mode:o}"
    for path in (service.data_dir / "tls").iterdir():
        if "key" in path.name:
            assert path.stat().st_mode & 0o077 == 0, path
