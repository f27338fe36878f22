"""A workload of known composition gives the known figure for every metric of both versions, seen
through the vendor's SDK; a node that hangs keeps nobody else's figures from being told."""

import collections
import datetime
import json
import os
import signal
import socket

import pymysql
import pytest

from harness.api import endpoint_of, poll, query_of, signed_parameters
from test_aliyun_sdk import PASSWORD, Sdk

OLD_KEYS = "scon sqps sni sno ses ser sfn smpm smpq sos sspm sspq stbs stcs stos strs".split()
NEW_KEYS = "stps sqps swart swmrt swnb sqart sqmrt scon disk_usage disk_total disk_used".split()

# Which counter a statement raises, by its first word.
CLASSES = {
    "SET": "ses",
    "SELECT": "sspq",
    "INSERT": "sspm",
    "UPDATE": "sspm",
    "DELETE": "sspm",
    "BEGIN": "stbs",
    "COMMIT": "stcs",
    "ROLLBACK": "strs",
    "SAVEPOINT": "stos",
}
SLOW_READ_MS, SLOW_WRITE_MS = 120, 250
LARGE = 1_000_000


class Counted(pymysql.connections.Connection):
    """A connection that notes what it sends, what the driver sends by itself included."""

    def __init__(self, *arguments, **keywords):
        self.sent = collections.Counter()
        self.bytes = 0
        super().__init__(*arguments, **keywords)

    def _execute_command(self, command, sql):
        text = sql if isinstance(sql, bytes) else sql.encode(self.encoding)
        self.bytes += len(text) + 5
        if command == pymysql.constants.COMMAND.COM_QUERY:
            self.sent[CLASSES.get(text.split()[0].decode().upper(), "sos")] += 1
        super()._execute_command(command, sql)


def work(connection):
    """Runs the workload; returns how many of its statements failed."""
    cursor = connection.cursor()
    run = cursor.execute
    run("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a DOUBLE)")
    for _ in range(7):
        run("INSERT INTO t (a) VALUES (1), (2)")
    run("INSERT INTO t (a) /* " + "x" * LARGE + " */ VALUES (3)")
    run(f"UPDATE t SET a = SLEEP({SLOW_WRITE_MS / 1000}) WHERE id = 1")
    run("DELETE FROM t WHERE id = 2")
    for _ in range(5):
        run("SELECT * FROM t")
    run(f"SELECT SLEEP({SLOW_READ_MS / 1000})")
    run(f"SELECT REPEAT('y', {2 * LARGE})")
    for end in ["COMMIT", "COMMIT", "ROLLBACK"]:
        run("BEGIN")
        run("SAVEPOINT s")
        run(end)
    run("SET @a = 1")
    run("SHOW TABLES")
    failed = 0
    for wrong in ["SELECT no_such", "SELECT 1 FROM no_such", "INSERT INTO t VALUES (1, 2, 3)"]:
        with pytest.raises(pymysql.MySQLError):
            run(wrong)
        failed += 1
    return failed


def window():
    """Two days around now, in one step."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    spelled = "%Y-%m-%dT%H:%M:00Z"
    return {
        "StartTime": (now - day).strftime(spelled),
        "EndTime": (now + day).strftime(spelled),
        "Interval": "2880",
    }


def figures(sdk, instance_id, group, keys, database=None):
    """The one value of each key; `None` for one that nothing was sampled of."""
    action = "DescribeDatabasePerformance" if database else "DescribeInstancePerformance"
    parameters = {"DBName": database} if database else {}
    answer = sdk.call(
        action,
        InstanceId=instance_id,
        MonitorGroup=group,
        KeyList=",".join(keys),
        **window(),
        **parameters,
    )
    series = answer["MonitorDatas"]["MonitorData"]
    assert [one["Key"] for one in series] == keys
    values = {}
    for one in series:
        points = one["PerformanceValues"]["PerformanceValue"]
        assert len(points) <= 1
        values[one["Key"]] = float(points[0]["Value"]) if points else None
    return values


@pytest.fixture
def monitored(credentials):
    sdk = Sdk(credentials)
    instance_id = sdk.create()["InstanceId"]
    host, port = endpoint_of(sdk.wait_active(instance_id))
    yield sdk, instance_id, host, port
    sdk.delete(instance_id)


def test_the_metrics_are_those_of_the_document(sdk_of_credentials):
    sdk, instance_id = sdk_of_credentials
    old = sdk.call("DescribeMonitorItems", InstanceId=instance_id, ItemLevel="INSTANCE_PERFORMANCE")
    new = sdk.call(
        "DescribeMonitorItems",
        InstanceId=instance_id,
        ItemLevel="INSTANCE_PERFORMANCE",
        MonitorVersion="1",
    )
    text = str(old) + str(new)
    for key in OLD_KEYS + NEW_KEYS:
        assert f"'{key}'" in text


@pytest.fixture
def sdk_of_credentials(credentials, instance):
    return Sdk(credentials), instance.id


def test_every_metric_tells_what_was_done(monitored):
    sdk, instance_id, host, port = monitored
    connection = Counted(
        host=host,
        port=port,
        user="alice",
        password=PASSWORD,
        database="shop",
        autocommit=None,
        ssl_disabled=True,
        max_allowed_packet=2**26,
    )
    failed = work(connection)
    sent = sum(connection.sent.values())

    for database in [None, "shop"]:

        def known():
            values = figures(sdk, instance_id, "gcs", OLD_KEYS, database)
            if not values["ser"]:
                return None
            seconds = failed / values["ser"]
            counts = {key: value * seconds for key, value in values.items()}
            return (seconds, counts) if abs(counts["sqps"] - sent) < 0.01 else None

        seconds, counts = poll(known, 60, "the figures of the workload were not told")
        expected = {key: 0 for key in OLD_KEYS if key not in ("scon", "sni", "sno")}
        expected.update(connection.sent)
        expected.update(ser=failed, sqps=sent, sfn=sent - failed)
        told = {key: counts[key] for key in expected}
        assert told == pytest.approx(expected, abs=0.01)
        # The login is the instance's alone. Rates are rounded, so a megabyte is told to some bytes.
        login = counts["sni"] - connection.bytes
        assert -10 < login < 10 if database else 50 < login < 500
        assert 2 * LARGE <= counts["sno"] <= 2 * LARGE + 20_000
        assert counts["scon"] == pytest.approx(round(counts["scon"]), abs=0.01) and counts["scon"] > 0.9

        def all_told():
            values = figures(sdk, instance_id, "gas", NEW_KEYS, database)
            return None if None in values.values() else values

        values = poll(all_told, 60, "some metric has no value")
        # Time went on since the old metrics were read: compare what does not depend on it.
        reads, writes = connection.sent["sspq"], connection.sent["sspm"]
        assert values["sqps"] / values["stps"] == pytest.approx(reads / writes, rel=0.001)
        assert values["swnb"] / values["stps"] == pytest.approx(counts["sni"] / writes, rel=0.001)
        assert SLOW_READ_MS <= values["sqmrt"] and SLOW_WRITE_MS <= values["swmrt"]
        assert values["sqmrt"] <= values["sqart"] * reads + 0.01 and values["sqart"] <= values["sqmrt"]
        assert values["swmrt"] <= values["swart"] * writes + 0.01 and values["swart"] <= values["swmrt"]
        assert 0 < values["scon"] <= 1
        assert 0 < values["disk_used"] < values["disk_total"]
        assert values["disk_usage"] == pytest.approx(100 * values["disk_used"] / values["disk_total"], abs=0.01)
    connection.close()


def test_a_node_that_hangs_keeps_nobody_else_from_being_told(service, monitored, instance):
    sdk, hung, _, _ = monitored
    pids = [node["pid"] for node in service.admin("node", "list") if node["instance_id"] == hung]
    assert len(pids) == 1

    def failures():
        return figures(sdk, instance.id, "gcs", ["ser"])["ser"]

    poll(lambda: failures() is not None, 60, "nothing is sampled")
    os.kill(pids[0], signal.SIGSTOP)
    try:
        earlier = failures()
        with pymysql.connect(
            host=instance.host, port=instance.port, user=instance.user, password=instance.password
        ) as connection:
            for _ in range(100):
                with pytest.raises(pymysql.MySQLError):
                    connection.cursor().execute("SELECT no_such_column")
        # A share of all that was counted in two days: failures raise it.
        poll(lambda: failures() > earlier, 60, "nothing more was sampled")
        # The one that hangs is told of as well: its files can be measured, its past can be read.
        usage = sdk.call("DescribeInstanceResourceUsage", InstanceId=hung)
        assert usage["MonitorDatas"]["MonitorData"]
        assert set(figures(sdk, hung, "gcs", OLD_KEYS)) == set(OLD_KEYS)
    finally:
        os.kill(pids[0], signal.SIGCONT)


def ask(api, instance, **changes):
    """Asks in a body, where there is room; the answer, or the code of the refusal."""
    parameters = {"InstanceId": instance.id, "MonitorGroup": "gcs", "KeyList": "sfn", **window(), **changes}
    key_id, secret = api.credentials["access_key_id"], api.credentials["access_key_secret"]
    signed = signed_parameters("DescribeInstancePerformance", parameters, key_id, secret, method="POST")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    _, _, body = api.raw("POST", "/", query_of(signed), form, https=False)
    answer = json.loads(body)
    return answer.get("Code", answer)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"KeyList": "sfn,no_such"}, "InvalidKeyList.ValueNotSupported"),
        ({"KeyList": "disk_used"}, "InvalidKeyList.ValueNotSupported"),
        ({"KeyList": ","}, "InvalidKeyList.ValueNotSupported"),
        ({"KeyList": "sfn," * 20_000 + "sfn"}, "InvalidParameter"),
        ({"StartTime": "2026-01-02T00:00:00Z", "EndTime": "2026-01-01T00:00:00Z"}, "InvalidStartTimeAndEndTime.Malformed"),
        ({"Interval": "0"}, "InvalidInterval.Malformed"),
        # Two days have more than 400 minutes.
        ({"Interval": "1"}, "InvalidParameter"),
    ],
)
def test_wrong_questions_are_refused_with_their_code(api, instance, changes, code):
    assert ask(api, instance, **changes) == code


def test_a_million_keys_are_refused_before_they_are_read(service, api, instance):
    """The answer comes while the client still sends."""
    _, _, host_and_port = service.credentials["http_endpoint"].rpartition("/")
    host, _, port = host_and_port.rpartition(":")
    body = b"KeyList=" + b"sfn%2C" * 1_000_000
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=30) as client:
        client.sendall(head.encode() + body[:100_000])
        answer = client.recv(65_536).decode()
    assert answer.startswith("HTTP/1.1 400 ") and "InvalidParameter" in answer and "too large" in answer
    assert api.info(instance.id)["InstanceStatus"] == "ACTIVE"


def test_a_moment_has_no_steps(api, instance):
    moment = {"StartTime": "2026-01-01T00:00:00Z", "EndTime": "2026-01-01T00:00:00Z"}
    assert values_of(ask(api, instance, **moment)) == []


def values_of(answer):
    return answer["MonitorDatas"]["MonitorData"][0]["PerformanceValues"]["PerformanceValue"]


def test_a_key_may_be_named_often_and_a_range_may_lie_before_all_samples(api, instance):
    often = ask(api, instance, KeyList=",".join(["sfn", "ser"] * 400))
    assert [one["Key"] for one in often["MonitorDatas"]["MonitorData"]] == ["sfn", "ser"]
    decade = {"StartTime": "2011-01-01T00:00:00Z", "EndTime": "2021-01-01T00:00:00Z", "Interval": "14400"}
    assert values_of(ask(api, instance, **decade)) == []
