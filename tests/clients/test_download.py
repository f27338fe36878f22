"""A backup set over a link that expires: the whole of it, the rest of it after a break, and loaded by hand as docs/restore-by-hand.md
says. The download is read slowly, and its set removed meanwhile."""

import http.client
import json
import pathlib
import re
import ssl
import subprocess
import tarfile
import time
import urllib.parse

import pytest

from harness.api import Api, endpoint_of, poll
from harness.service import Service
from test_aliyun_sdk import Sdk
from test_disaster import PASSWORD, SCHEMA, back_up, run
from test_restore_by_hand import PLACE, blocks, plain, shell  # noqa: F401

WINDOW = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}
# Rows that do not compress: 20 MB.
NOISE = [
    "CREATE TABLE noise (id INT PRIMARY KEY, bytes BLOB)",
    "INSERT INTO noise SELECT seq, RANDOM_BYTES(1000) FROM seq_1_to_20000",
]


@pytest.fixture(scope="module")
def fetched():
    """A service with a set of a database, and a link to it by the vendor's SDK."""
    with Service() as service:
        api = service.api()
        instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
        at = endpoint_of(api.wait_active(instance_id))
        run(at, *SCHEMA, *NOISE)
        yield service, instance_id, back_up(api, instance_id)


def item(service, instance_id, backup_id):
    """The set, as the vendor's SDK is told of it."""
    answer = Sdk(service.credentials).call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupId=backup_id, **WINDOW)
    (found,) = answer["BackupItems"]["Backup"]
    return found


def get(service, link, method="GET", **headers):
    """An answer that is not read yet, and its connection."""
    url = urllib.parse.urlsplit(link)
    context = ssl.create_default_context(cafile=service.credentials["ca_file"])
    connection = http.client.HTTPSConnection(url.hostname, url.port, timeout=60, context=context)
    connection.request(method, f"{url.path}?{url.query}", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse(), connection


def status(service, link, **headers):
    answer, connection = get(service, link, **headers)
    body = answer.read()
    connection.close()
    return answer.status, body.decode(errors="replace")


def memory(service):
    """Bytes of memory that the service has."""
    text = pathlib.Path(f"/proc/{service.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def test_a_download_goes_on_where_it_broke_and_is_loaded_by_hand(fetched, plain, tmp_path):  # noqa: F811
    service, instance_id, backup_id = fetched
    link = item(service, instance_id, backup_id)["BackupDownloadURL"]
    head, connection = get(service, link, "HEAD")
    connection.close()
    total = int(head.headers["Content-Length"])
    assert head.status == 200 and head.headers["Accept-Ranges"] == "bytes" and total > 18 << 20
    assert head.headers["Content-Disposition"] == f'attachment; filename="shop-{backup_id}.tar"'
    # Broken off in the middle; the rest follows, if it is still the same.
    answer, connection = get(service, link)
    first = answer.read(total // 2)
    connection.close()
    before = memory(service)
    answer, connection = get(service, link, Range=f"bytes={len(first)}-", If_Range=head.headers["ETag"])
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {len(first)}-{total - 1}/{total}"
    archive = tmp_path / "set.tar"
    archive.write_bytes(first + answer.read())
    connection.close()
    assert archive.stat().st_size == total
    assert memory(service) - before < 8 << 20
    assert status(service, link, Range=f"bytes={total}-")[0] == 416
    changed, connection = get(service, link, Range="bytes=5-", If_Range='"another"')
    assert changed.status == 200
    connection.close()
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    directory = tmp_path / backup_id
    local = service.data_dir / "backups" / instance_id / backup_id
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == {path.name: path.read_bytes() for path in local.iterdir()}
    begin, *middle, compare = blocks()[0]
    said = shell(plain, begin.replace(PLACE, str(directory)) + "".join(middle) + compare)
    assert said.endswith(f"{len(json.loads((directory / 'manifest.json').read_text())['tables'])} tables are as they were\n"), said
    rows = service.admin("audit", "list", "--action", "backup:download")
    assert len(rows) == 3 and {row["instance_id"] for row in rows} == {instance_id}


def test_the_command_line_fetches_and_goes_on(fetched, tmp_path):
    service, instance_id, backup_id = fetched
    command = [str(service.binary), "--data-dir", str(service.data_dir), "download-backup", instance_id, "--db-name", "shop", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    whole = (tmp_path / f"shop-{backup_id}.tar").read_bytes()
    assert told == {"BackupId": int(backup_id), "File": f"shop-{backup_id}.tar", "Bytes": len(whole)}
    (tmp_path / f"again.tar.{backup_id}.part").write_bytes(whole[:1_000_001])
    subprocess.run([*command, "--output", "again.tar"], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert (tmp_path / "again.tar").read_bytes() == whole
    refused = subprocess.run([*command, "--output", "again.tar"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1 and "FileExists" in refused.stderr


def test_links_that_lead_nowhere_say_so(fetched):
    service, instance_id, backup_id = fetched
    api = service.api()
    link = item(service, instance_id, backup_id)["BackupDownloadURL"]
    assert status(service, link.replace(f"/{backup_id}.tar", "/100999.tar"))[0] == 403
    assert status(service, link[:-1] + ("A" if link[-1] != "A" else "B"))[0] == 403
    code, text = status(service, re.sub(r"Expires=\d+", f"Expires={int(time.time()) + 10**6}", link))
    assert code == 403 and "not as DescribeDatabaseBackup gave it" in text
    # Not for those who may only look.
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "petadata:Describe*", "Resource": "*"}]}
    account = service.credentials["account_id"]
    service.admin("ram-user", "create", "--account-id", account, "--user-name", "looker")
    service.admin("policy", "attach", "--account-id", account, "--user-name", "looker", "--policy-name", "look", "--document", json.dumps(policy))
    key = service.admin("access-key", "create", "--account-id", account, "--user-name", "looker")
    looker = Api({**service.credentials, **{name: key[name] for name in ("access_key_id", "access_key_secret")}})
    answer = looker.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", **WINDOW)
    assert [("BackupId" in found, "BackupDownloadURL" in found) for found in answer["BackupItems"]["Backup"]] == [(True, False)]
    # The set goes while somebody reads it slowly: what has been begun comes to its end.
    answer, connection = get(service, link)
    first = answer.read(1000)
    service.admin("backup", "delete", backup_id)
    assert status(service, link) == (404, "The backup set is gone.\n")
    length = int(answer.headers["Content-Length"])
    assert len(first) + len(answer.read()) == length
    connection.close()
    api.delete(instance_id)
    poll(lambda: service.admin("task", "list", "--status", "1") == [], 30, "a task goes on")
    assert service.stop() == 0 and not service.leftovers()
    assert "Signature=" not in service.log()
