"""The service is killed, stopped and started again: databases go on, and so does every promise
that was made before."""

import concurrent.futures
import json
import random
import threading
import time

import pymysql
import pytest

from harness.api import ApiError, endpoint_of, poll, query_of, signed_parameters
from harness.service import alive, end

PASSWORD = "Passw0rd!"


def connect(endpoint, **keywords):
    host, port = endpoint
    return pymysql.connect(
        host=host, port=port, user="alice", password=PASSWORD, database="shop", connect_timeout=5, read_timeout=20,
        autocommit=True, **keywords,
    )  # fmt: skip


def reconnect(endpoint, timeout=20):
    """Connects as soon as it is possible."""

    def attempt():
        try:
            return connect(endpoint)
        except pymysql.err.OperationalError:
            return None

    return poll(attempt, timeout, "no connection")


def query(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_kill_and_restart(own):
    service = own().start()
    api = service.api()
    order = {"ClientToken": "once", "InstanceName": "kept"}
    answer = api.order(**order)
    instance_id = answer["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    api.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="1", SecurityIPList="10.1.1.1")
    api.call("CreateAccount", InstanceId=instance_id, AccountName="bob", AccountPassword=PASSWORD)
    nodes = service.node_pids()
    assert len(nodes) == 1
    session = connect(endpoint)
    query(session, "CREATE TABLE kept (id INT PRIMARY KEY)")
    query(session, "INSERT INTO kept VALUES (1), (2)")
    credentials = service.credentials
    used = "/?" + query_of(
        signed_parameters("DescribeRegions", {}, credentials["access_key_id"], credentials["access_key_secret"])
    )
    assert api.raw("GET", used)[0] == 200

    service.kill()
    assert service.node_pids() == nodes and alive(nodes[0])
    with pytest.raises((pymysql.err.Error, OSError)):
        query(session, "SELECT 1")
    with pytest.raises(pymysql.err.OperationalError):
        connect(endpoint)

    service.start()
    api = service.api()
    assert service.node_pids() == nodes, "the node was not adopted"
    session = reconnect(endpoint)
    assert query(session, "SELECT id FROM kept ORDER BY id") == [(1,), (2,)]
    info = api.info(instance_id)
    assert (info["InstanceStatus"], info["InstanceName"], endpoint_of(info)) == ("ACTIVE", "kept", endpoint)
    assert api.call("DescribeSecurityIPs", InstanceId=instance_id)["SecurityIPList"] == "127.0.0.1,10.1.1.1"
    accounts = api.call("DescribeAccounts", InstanceId=instance_id)["AccountList"]["Account"]
    assert sorted(account["AccountName"] for account in accounts) == ["alice", "bob"]

    status, _, body = api.raw("GET", used)
    assert (status, json.loads(body)["Code"]) == (400, "SignatureNonceUsed")
    again = api.order(**order)
    assert (again["InstanceId"], again["OrderId"]) == (instance_id, answer["OrderId"])
    with pytest.raises(ApiError) as caught:
        api.order(**order, SecurityIPList="0.0.0.0/0")
    assert caught.value.code == "IdempotentParameterMismatch"
    assert api.instances() == [instance_id]

    session.close()
    api.delete(instance_id)
    assert not alive(nodes[0])
    assert service.stop() == 0
    assert service.leftovers() == []


def test_stopping_is_graceful(own):
    service = own({"gateway": {"drain_seconds": 8}}).start()
    api = service.api()
    instance_id = api.order()["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    nodes = service.node_pids()
    idle, busy = connect(endpoint), connect(endpoint)
    query(busy, "CREATE TABLE kept (id INT PRIMARY KEY)")
    query(busy, "START TRANSACTION")
    query(busy, "INSERT INTO kept VALUES (1)")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(service.stop)
        # New sessions are refused, the open transaction may end.
        poll(lambda: refused(endpoint), 5, "still takes new sessions")
        query(busy, "INSERT INTO kept VALUES (2)")
        query(busy, "COMMIT")
        start = time.monotonic()
        assert stopping.result(30) == 0
        # Nobody waits for sessions that have nothing open.
        assert time.monotonic() - start < 7
    with pytest.raises((pymysql.err.Error, OSError)):
        query(idle, "SELECT 1")
    assert service.node_pids() == nodes
    assert service.listening() == []

    service.start()
    assert service.node_pids() == nodes
    session = reconnect(endpoint)
    assert query(session, "SELECT COUNT(*) FROM kept") == [(2,)]
    session.close()
    service.api().delete(instance_id)
    assert service.stop() == 0
    assert service.leftovers() == []


def refused(endpoint):
    try:
        connect(endpoint).close()
        return False
    except pymysql.err.OperationalError:
        return True


def test_no_acknowledged_row_is_lost(own):
    """Rows are written while the service, then the node, is killed again and again."""
    service = own().start()
    api = service.api()
    instance_id = api.order()["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    query(connect(endpoint), "CREATE TABLE log (id INT PRIMARY KEY)")
    acknowledged, over = [], threading.Event()

    def write():
        session, number = None, 0
        while not over.is_set():
            number += 1
            try:
                session = session or connect(endpoint)
                query(session, f"INSERT INTO log VALUES ({number})")
                acknowledged.append(number)
            except (pymysql.err.Error, OSError):
                session = None
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    for victim in ["service", "node", "service", "node"]:
        before = len(acknowledged)
        poll(lambda before=before: len(acknowledged) > before + 20, 30, lambda: "no progress: " + service.log()[-2000:])
        if victim == "service":
            service.kill()
            service.start()
        else:
            [node] = service.node_pids()
            end(node)
            poll(lambda node=node: service.node_pids() not in ([], [node]), 30, "the node was not restarted")
    before = len(acknowledged)
    poll(lambda: len(acknowledged) > before + 20, 30, "no progress at the end")
    over.set()
    writer.join(30)
    session = reconnect(endpoint)
    found = {row[0] for row in query(session, "SELECT id FROM log")}
    assert set(acknowledged) <= found
    session.close()
    service.api().delete(instance_id)
    assert service.stop() == 0
    assert service.leftovers() == []


def test_killed_while_orders_come_in(own):
    """Whatever was acknowledged becomes ACTIVE; whatever was not is there as a whole or not at
    all; once all is deleted nothing is left."""
    chance = random.Random(20190117)
    service = own({"nodes": {"spare": 1}}).start()
    acknowledged, sent = set(), 0
    for _ in range(4):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            orders = []
            for _ in range(3):
                orders.append(pool.submit(service.api().order, ClientToken=f"token-{sent}"))
                sent += 1
            time.sleep(chance.uniform(0, 0.5))
            service.kill()
            for order in orders:
                try:
                    acknowledged.add(order.result()["InstanceId"])
                except (OSError, ValueError, ApiError):
                    pass
        service.start()
    api = service.api()
    assert acknowledged <= set(api.instances())
    for instance_id in acknowledged:
        endpoint = endpoint_of(api.wait_active(instance_id))
        assert query(reconnect(endpoint), "SELECT DATABASE()") == [("shop",)]
    # Retried, every order is done once.
    for number in range(sent):
        api.wait_active(api.order(ClientToken=f"token-{number}")["InstanceId"])
    instances = api.instances()
    assert len(instances) == sent and acknowledged <= set(instances)
    for instance_id in instances:
        api.call("DeleteInstance", InstanceId=instance_id)
    # And killed while they go.
    time.sleep(0.2)
    service.kill()
    service.config["nodes"]["spare"] = 0
    service.start()
    api = service.api()
    poll(lambda: api.instances() == [], 60, lambda: f"left: {api.instances()}")
    poll(lambda: service.node_dirs() == [], 30, lambda: f"left: {service.node_dirs()}")
    assert service.stop() == 0
    assert service.leftovers() == []


def test_a_killed_node_comes_back(own):
    service = own().start()
    api = service.api()
    instance_id = api.order()["InstanceId"]
    endpoint = endpoint_of(api.wait_active(instance_id))
    session = connect(endpoint)
    query(session, "CREATE TABLE kept (id INT PRIMARY KEY)")
    query(session, "INSERT INTO kept VALUES (7)")
    for _ in range(3):
        [node] = service.node_pids()
        # What it has set is lost with the node, so the session ends; one that loses nothing goes on.
        query(session, "SET @mine = 1")
        idle = connect(endpoint)
        start = time.monotonic()
        end(node)
        with pytest.raises((pymysql.err.Error, OSError)):
            query(session, "SELECT @mine")
        assert query(idle, "SELECT id FROM kept") == [(7,)]
        idle.close()
        session = reconnect(endpoint)
        assert time.monotonic() - start < 15
        assert query(session, "SELECT id FROM kept") == [(7,)]
        assert service.node_pids() != [node]
    session.close()
    # Also when the service was away when it happened.
    service.kill()
    [node] = service.node_pids()
    end(node)
    service.start()
    session = reconnect(endpoint)
    assert query(session, "SELECT id FROM kept") == [(7,)]
    session.close()
    service.api().delete(instance_id)
    assert service.stop() == 0
    assert service.leftovers() == []
