"""Sources outside the whitelist never get past the handshake, also right after a change. All
of 127.0.0.0/8 is this machine, so the tests have addresses enough."""

import socket

import pymysql
import pytest

from harness.api import endpoint_of, poll

PASSWORD = "Passw0rd!"


@pytest.fixture(scope="module")
def target(service):
    """An instance of the module's own: its whitelist changes."""
    api = service.api()
    instance_id = api.order()["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    yield instance_id, endpoint
    api.delete(instance_id)
    api.close()


@pytest.fixture(autouse=True)
def reset(api, target):
    """Every test begins with the default list."""
    api.call("ModifySecurityIPs", InstanceId=target[0], SecurityIPList="127.0.0.1")


def connect(endpoint, source):
    host, port = endpoint
    return pymysql.connect(
        host=host, port=port, user="alice", password=PASSWORD, database="shop", bind_address=source,
        connect_timeout=10, read_timeout=10,
    )  # fmt: skip


def refused(endpoint, source):
    """Refused with the server's own words for it."""
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(endpoint, source)
    assert caught.value.args[0] == 1130, caught.value
    assert f"Host '{source}' is not allowed to connect to this MariaDB server" in caught.value.args[1]


def query(connection, statement="SELECT 1"):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def ends(connection):
    """The session ends by itself soon."""

    def over():
        try:
            query(connection)
            return False
        except (pymysql.err.Error, OSError):
            return True

    poll(over, 5, "the session is still open")


def test_only_the_listed(target):
    _, endpoint = target
    assert query(connect(endpoint, "127.0.0.1"), "SELECT USER()") == ("alice@127.0.0.1",)
    for source in ["127.0.0.2", "127.1.2.3"]:
        refused(endpoint, source)


def test_nothing_but_the_refusal_is_said(target):
    """No version, no nonce: a stranger learns only that it is not wanted."""
    _, endpoint = target
    with socket.create_connection(endpoint, timeout=10, source_address=("127.0.0.9", 0)) as stranger:
        answer = b""
        while piece := stranger.recv(4096):
            answer += piece
    assert answer[4:7] == b"\xff\x6a\x04" and len(answer) == 4 + int.from_bytes(answer[:3], "little")


def test_a_block_with_host_bits(api, target):
    instance_id, endpoint = target
    api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="1", SecurityIPList="127.7.7.77/24")
    connect(endpoint, "127.7.7.1").close()
    refused(endpoint, "127.7.8.1")


def test_groups_add_up(api, target):
    instance_id, endpoint = target
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPListName="office", SecurityIPList="127.0.0.5")
    connect(endpoint, "127.0.0.5").close()
    connect(endpoint, "127.0.0.1").close()
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPListName="office", ModifyMode="2")
    refused(endpoint, "127.0.0.5")
    connect(endpoint, "127.0.0.1").close()


def test_a_removed_address_is_out_at_once(api, target):
    instance_id, endpoint = target
    api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="1", SecurityIPList="127.0.0.2")
    stays, goes = connect(endpoint, "127.0.0.1"), connect(endpoint, "127.0.0.2")
    query(goes, "START TRANSACTION")
    api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="2", SecurityIPList="127.0.0.2")
    # From the answer on; not some time later.
    refused(endpoint, "127.0.0.2")
    ends(goes)
    assert query(stays) == (1,)
    stays.close()


def test_many_changes(api, target):
    instance_id, endpoint = target
    for _ in range(10):
        api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="1", SecurityIPList="127.0.0.3")
        connect(endpoint, "127.0.0.3").close()
        api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="2", SecurityIPList="127.0.0.3")
        refused(endpoint, "127.0.0.3")


def test_the_list_outlives_a_kill(own):
    service = own().start()
    api = service.api()
    instance_id = api.order(SecurityIPList="127.0.0.1,127.0.0.4")["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    connect(endpoint, "127.0.0.4").close()
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPList="127.0.0.6")
    service.kill()
    service.start()
    poll(lambda: service.listening(), 10, "no listener")
    refused(endpoint, "127.0.0.4")
    refused(endpoint, "127.0.0.1")
    connect(endpoint, "127.0.0.6").close()
    service.api().delete(instance_id)
    assert service.stop() == 0
    assert service.leftovers() == []
