"""A database over several nodes comes back after its machine, or some of its nodes, are lost while money is moved in it: as of the last
moment of all nodes that is in the bucket, whole and with nothing torn."""

import json
import shutil
import time

import pytest

from harness.api import endpoint_of, poll
from harness.service import DEBUG, Service, StartError, end
from test_disaster import back_up, refusal, run
from test_object_storage import BUCKET, KEY, PREFIX, SECRET, s3  # noqa: F401 - a fixture
from test_spread_backup import Bank, check, rows
from test_spread_switch import PLENTY, begin, cease, load


@pytest.fixture(scope="module")
def bank(s3):  # noqa: F811
    service = Service(binary=DEBUG)
    files = {"credentials": f"[default]\naws_access_key_id = key\naws_secret_access_key = {SECRET}\n", "keys": KEY}
    for name, text in files.items():
        (service.home / name).touch(0o600)
        (service.home / name).write_text(text)
    service.config["backup"] = {
        "recycle_days": 0,
        "moment_seconds": 1,
        "store": f"s3://{BUCKET}/{PREFIX}",
        "log_upload_seconds": 1,
        "encryption_key_file": str(service.home / "keys"),
        "s3": {
            "endpoint": s3.endpoint,
            "credentials_file": str(service.home / "credentials"),
            "ca_file": s3.certificate[0],
        },
    }
    with service:
        bank = Bank(service)
        bank.api.call("ModifyBackupPolicy", InstanceId=bank.id, DBName="shop", EnableBinlogBackup="true")
        yield bank


def nodes_of(bank):
    nodes = [node for node in bank.service.admin("node", "list") if node["instance_id"] == bank.id]
    return [node["node_id"] for node in sorted(nodes, key=lambda node: node["number"])]


def moment_is_stored(bank, s3):  # noqa: F811
    """Waits until the bucket has a moment of after now, and the logs up to it."""
    now, home = time.time(), nodes_of(bank)[0]

    def seconds(text):
        return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone

    noted = []

    def has_all():
        spans = [name for name in s3.names(f"binlogs/{home}/") if "/moments." in name]
        if spans and not noted:
            body = s3.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{spans[-1]}")["Body"].read()
            times = [seconds(json.loads(line)["at"]) for line in body.splitlines()]
            noted.extend([at for at in times if at > now + 1][:1])
        logs = [row["stored_until"] for row in bank.service.admin("backup", "logs") if row["instance_id"] == bank.id]
        return noted and len(logs) == 2 and all(until and seconds(until) > noted[0] for until in logs)

    poll(has_all, 90, lambda: f"no moment is stored: {noted}, {bank.service.admin('backup', 'logs')}", interval=0.2)


def status_of(bank):
    (row,) = [row for row in bank.service.admin("recovery", "status")["databases"] if row["instance_id"] == bank.id]
    return row


def test_an_empty_machine_gets_the_last_moment_of_all_nodes(bank, s3):  # noqa: F811
    service = bank.service
    run(bank.at, "CREATE TABLE era (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)")
    begin(bank)
    backup_id = back_up(bank.api, bank.id)
    run(bank.at, "INSERT INTO era VALUES (1), (2), (3), (4)", "CREATE TABLE late (id INT PRIMARY KEY, v TEXT) DISTRIBUTE BY HASH(id)")
    bank.goes_on()
    service.admin("control-plane", "backup")
    least = len(bank.done)
    moment_is_stored(bank, s3)
    bank.goes_on()
    # The machine is gone while transfers are under way.
    service.kill()
    for pid in service.node_pids():
        end(pid)
    cease(bank)
    shutil.rmtree(service.data_dir)
    service.admin("control-plane", "restore", "--from-bucket", "--config", str(service.config_path))
    service.start()
    bank.call_anew()
    poll(lambda: service.admin("recovery", "status")["bucket"] == "fetched", 60, lambda: service.log()[-2000:])
    row = status_of(bank)
    assert row["data"] == "lost" and row["newest_set"] == backup_id and row["log_goes_on"], row
    assert "is lost" in refusal(service, "recovery", "finish")
    service.admin("instance", "recover", "--instance-id", bank.id, "--to-end-of-log")
    assert endpoint_of(bank.api.wait_active(bank.id)) == bank.at
    check(bank.at, least, len(bank.done) + 3)
    assert rows(bank.at, "SELECT COUNT(*) FROM era") == ((4,),)
    assert rows(bank.at, "SELECT COUNT(*) FROM late") == ((0,),)
    service.admin("recovery", "finish")
    assert len(nodes_of(bank)) == 2
    # It is one like any other.
    with load(bank):
        backup_id = back_up(bank.api, bank.id)
    service.admin("backup", "verify", backup_id)


# Where the service is killed in a recovery, one after the other; the task goes on each time.
KILLS = ["load-sets/after-run", "replay-log/after-run", "assign-node/after-run", "settle-node/before-run", "admit-clients/after-run"]


@pytest.mark.parametrize("lost, kills", [([1], []), ([0], KILLS), ([0, 1], [])])
def test_nodes_whose_directories_are_lost_come_back_together(bank, s3, lost, kills):  # noqa: F811
    service = bank.service
    # What was told done before is not all there: some of it was of after the last moment.
    ((there,),) = rows(bank.at, "SELECT COUNT(*) FROM moved")
    told = len(bank.done)
    begin(bank)
    back_up(bank.api, bank.id)
    bank.goes_on()
    least = there + len(bank.done) - told
    moment_is_stored(bank, s3)
    nodes = nodes_of(bank)
    service.kill()
    for pid in service.node_pids():
        end(pid)
    cease(bank)
    for number in lost:
        shutil.rmtree(service.node_root() / nodes[number])
    points = [{"OPENPETA_FAIL_POINT": f"recover-instance/{kill}"} for kill in kills] + [{}]
    service.start(environment=points[0])
    bank.call_anew()
    poll(lambda: bank.api.info(bank.id)["InstanceStatus"] == "INACTIVE", 60, "it is not noticed")
    service.admin("instance", "recover", "--instance-id", bank.id, "--to-end-of-log")
    for point in points[1:]:
        if service.process:
            assert service.process.wait(120) == -6
        try:
            service.start(environment=point)
        except StartError as ended:
            # The task has gone on before the service was ready.
            assert ended.code == -6
    bank.call_anew()
    bank.api.wait_active(bank.id, timeout=120)
    check(bank.at, least, PLENTY)
    # None of the nodes from before is left, and the new ones are two.
    assert set(nodes_of(bank)).isdisjoint(nodes) and len(nodes_of(bank)) == 2
    poll(lambda: len(service.node_pids()) == 2, 60, "a node is left")
    assert not any((service.node_root() / node).exists() for node in nodes)
    with load(bank):
        pass
