"""A database over several nodes is restored in place while money is moved in it, and switched back and forth, also when the service or
a node is killed in the midst: each of the two contents is whole on all nodes, and each instance has one of them."""

import contextlib
import os
import random
import subprocess
import threading

import pytest

from harness.api import endpoint_of, poll
from harness.service import DEBUG, Service, end
from test_disaster import back_up, run
from test_spread_backup import ACCOUNTS, Bank, check, rows

PLENTY = 10**9


def begin(bank):
    """Transfers begin."""
    bank.over.clear()
    bank.threads = [threading.Thread(target=bank.work, args=(random.random(),)) for _ in range(3)]
    for thread in bank.threads:
        thread.start()
    bank.goes_on()


def cease(bank):
    """Transfers end."""
    bank.over.set()
    for thread in bank.threads:
        thread.join()


@contextlib.contextmanager
def load(bank):
    """Transfers go on meanwhile."""
    begin(bank)
    try:
        yield
        bank.goes_on()
    finally:
        cease(bank)


def era(at):
    """Which content it is: what was written after the set is there, or not."""
    return rows(at, "SELECT COUNT(*) FROM era")[0][0]


def command(service, *words):
    environment = {**os.environ, "OPENPETA_DATA_DIR": str(service.data_dir)}
    done = subprocess.run([service.binary, *words], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done
    return done.stdout


def nodes_of(bank, instance_id):
    answer = bank.api.call("DescribeDatabases", InstanceId=instance_id)
    (database,) = answer["Databases"]["Database"]
    return database["DBStatus"], int(database["NodeNumber"])


def both_are_active(bank, new_id):
    def active():
        states = [bank.api.info(id_)["InstanceStatus"] for id_ in (bank.id, new_id)]
        return states == ["ACTIVE", "ACTIVE"]

    poll(active, 120, lambda: f"{bank.api.tasks(bank.id)}")


@pytest.fixture(scope="module")
def service():
    with Service(binary=DEBUG) as service:
        yield service


@pytest.fixture(scope="module")
def switched(service):
    """The bank, restored in place under load; the instance with its former content; how many transfers each has at least."""
    bank = Bank(service)
    run(bank.at, "CREATE TABLE era (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)")
    with load(bank):
        in_set = len(bank.done)
        backup_id = back_up(bank.api, bank.id)
        run(bank.at, "INSERT INTO era VALUES (1), (2), (3), (4)")
        # The source is spread in another way than the set when it is replaced.
        bank.api.call("ModifyDatabaseNodesNumber", InstanceId=bank.id, DBName="shop", Parameter="3")
        poll(lambda: nodes_of(bank, bank.id) == ("ACTIVE", 3), 120, "it gets no third node")
        bank.goes_on()
        replaced = len(bank.done)
        told = command(
            service, "restore-database", "--src-instance-id", bank.id, "--src-db-name", "shop",
            "--backup-id", backup_id, "--with-accounts", "true", "--in-place",
        )  # fmt: skip
    (new_id,) = {word.rstrip(";,") for word in told.replace("\n", " ").split() if word.startswith("pd-")} - {bank.id}
    return bank, new_id, in_set, replaced


def assert_whole(bank, new_id, eras, least):
    """Both contents, each on its nodes."""
    ats = [endpoint_of(bank.api.info(id_)) for id_ in (bank.id, new_id)]
    assert ats[0] == bank.at
    assert [era(at) for at in ats] == eras
    for at, count in zip(ats, least, strict=True):
        check(at, count, PLENTY)


def test_a_restore_in_place_swaps_all_nodes_at_once(switched):
    bank, new_id, in_set, replaced = switched
    assert_whole(bank, new_id, [0, 4], [in_set, replaced])
    assert (nodes_of(bank, bank.id), nodes_of(bank, new_id)) == (("ACTIVE", 2), ("ACTIVE", 3))
    by_number = bank.service.admin("node", "list")
    numbers = [sorted(node["number"] for node in by_number if node["instance_id"] == id_) for id_ in (bank.id, new_id)]
    assert numbers == [[0, 1], [0, 1, 2]]
    placed = bank.api.call("DescribeDatabasePartitions", InstanceId=bank.id, DBName="shop")
    assert placed, placed
    # It can be backed up, and what was granted by the API counts on all nodes.
    assert rows(bank.at, "SELECT COUNT(*) FROM account") == ((ACCOUNTS,),)
    back_up(bank.api, bank.id)


STEPS = ["close-sessions/after-run", "read-accounts/before-run", "swap-nodes/after-run", "settle-nodes/after-run", "admit-clients/after-run"]
FAILS = ["swap-nodes/after-run=fail", "settle-nodes/after-run=fail"]


@pytest.mark.parametrize("killed", ["nothing", "node", *STEPS, *FAILS])
def test_each_content_stays_whole_whatever_is_killed_in_a_switch(switched, killed):
    bank, new_id, in_set, replaced = switched
    service, parameters = bank.service, {"SourceInstanceId": bank.id, "NewInstanceId": new_id, "DBName": "shop"}
    before = era(bank.at)
    with load(bank):
        if "/" in killed:
            service.kill()
            service.start(environment={"OPENPETA_FAIL_POINT": f"switch-backup-database/{killed}"})
            bank.call_anew()
            bank.goes_on()
        try:
            bank.api.call("SwitchBackupDatabase", **parameters)
        except OSError:
            # It ended in the midst of the answer.
            assert killed in STEPS
        if killed == "node":
            end(random.choice(service.node_pids()))
        if killed in STEPS:
            service.process.wait(60)
            service.start()
            bank.call_anew()
        both_are_active(bank, new_id)
    found = era(bank.at)
    if killed != "node":
        # Whether one is done or undone after the loss of a node is a matter of when that was.
        assert (found == before) == (killed in FAILS), bank.api.tasks(bank.id)
    least = [in_set, replaced] if found == 0 else [replaced, in_set]
    assert_whole(bank, new_id, [found, 4 - found], least)
    if killed in FAILS:
        service.kill()
        service.start()
        bank.call_anew()
