"""Sets of data files: taken while clients write, restored with accounts, proven, damaged."""

import datetime
import json
import threading
import time

import pymysql
import pytest

from harness.api import ApiError, endpoint_of, poll
from test_disaster import PASSWORD, SCHEMA, back_up, connect, content, refusal, run


def restored(api, instance_id, backup_id, **parameters):
    """A new instance with what the set has."""
    answer = api.call(
        "RestoreDatabase", SrcInstanceId=instance_id, SrcDBName="shop", BackupId=backup_id, WithAccounts="true", **parameters
    )
    return answer["NewInstanceId"]


def listed(service, backup_id):
    [one] = [one for one in service.admin("backup", "list") if one["backup_id"] == backup_id]
    return one


def tables(endpoint):
    """Number of rows and checksum of each table."""
    with connect(endpoint) as connection, connection.cursor() as cursor:
        found = {}
        for table in ("item", "log", "account"):
            cursor.execute(f"CHECKSUM TABLE {table} EXTENDED")
            checksum = cursor.fetchone()[1]
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            found[table] = cursor.fetchone()[0], checksum
        return found


class Writer(threading.Thread):
    """Moves amounts from one account to another, in transactions: the sum stays the same."""

    def __init__(self, endpoint):
        super().__init__()
        self.endpoint, self.is_over, self.moved = endpoint, threading.Event(), 0

    def run(self):
        with pymysql.connect(host=self.endpoint[0], port=self.endpoint[1], user="alice", password=PASSWORD, database="shop") as session:
            with session.cursor() as cursor:
                while not self.is_over.is_set():
                    cursor.execute("UPDATE account SET amount = amount - 1 WHERE id = %s", (self.moved % 10,))
                    cursor.execute("UPDATE account SET amount = amount + 1 WHERE id = %s", ((self.moved + 3) % 10,))
                    session.commit()
                    self.moved += 1


def test_data_files_are_restored_as_they_were(service):
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA, "CREATE TABLE account (id INT PRIMARY KEY, amount INT)", "INSERT INTO account SELECT seq, 100 FROM seq_0_to_9")
    expected = content(at)
    writer = Writer(at)
    writer.start()
    full = back_up(api, instance_id, BackupMethod="Physical")
    writer.is_over.set()
    writer.join()
    assert writer.moved > 0
    run(at, "DELETE FROM item WHERE id % 2", "DROP VIEW dear")
    directory = service.data_dir / "backups" / instance_id / full
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["physical"]["from_lsn"] == 0 and manifest["tables"]["item"]["rows"] == 2000
    assert listed(service, full)["method"] == "Physical"

    copy = restored(api, instance_id, full)
    copy_at = endpoint_of(api.wait_active(copy, 60))
    assert content(copy_at) == expected
    with pymysql.connect(host=copy_at[0], port=copy_at[1], user="alice", password=PASSWORD, database="shop") as session:
        with session.cursor() as cursor:
            cursor.execute("SELECT COUNT(*), SUM(amount) FROM account")
            assert cursor.fetchone() == (10, 1000)

    # What was written since, twice; each is restored as it was.
    increments, expected = [], []
    for number in range(2):
        run(at, f"INSERT INTO item SELECT seq, 'more', {number}, NULL FROM seq_{number + 1}0000_to_{number + 1}2000", "UPDATE account SET amount = 7")
        increments.append(back_up(api, instance_id, BackupType="IncrementalBackup"))
        expected.append(tables(at))
    assert [listed(service, one)["base_id"] for one in increments] == [full, increments[0]]
    window = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}
    shown = api.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupId=increments[1], **window)["BackupItems"]["Backup"][0]
    assert (shown["BackupType"], shown["BackupMethod"]) == ("IncrementalBackup", "Physical")
    for one, there in zip(increments, expected, strict=True):
        again = restored(api, instance_id, one)
        assert tables(endpoint_of(api.wait_active(again, 60))) == there
        api.delete(again)
    # A base stays as long as what goes on from it.
    assert increments[0] in refusal(service, "backup", "delete", full)
    service.admin("backup", "verify", increments[1])
    poll(lambda: listed(service, increments[1])["verified_at"], 60, "the set is not proven")
    assert listed(service, increments[1])["verify_failure"] is None

    service.admin("backup", "verify", full)
    poll(lambda: listed(service, full)["verified_at"], 60, "the set is not proven")
    assert listed(service, full)["verify_failure"] is None
    # One byte is another one: the drill names what is wrong, and the log which file.
    data = directory / "data.mbstream.zst"
    damaged = bytearray(data.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    data.write_bytes(damaged)
    service.admin("backup", "verify", full)
    failure = poll(lambda: listed(service, full)["verify_failure"], 60, "the damage is not found")
    assert "damaged" in failure
    assert str(data) in service.log()
    # What goes on from it is worth no more, and no other set goes on from it.
    service.admin("backup", "verify", increments[0])
    assert "damaged" in poll(lambda: listed(service, increments[0])["verify_failure"], 60, "the damage is not found")
    with pytest.raises(ApiError) as refused:
        back_up(api, instance_id, BackupType="IncrementalBackup")
    assert refused.value.code == "OperationDenied.NotFoundBackup"
    with pytest.raises(ApiError) as refused:
        back_up(api, instance_id, BackupType="IncrementalBackup", BackupMethod="Logical")
    assert refused.value.code == "OperationDenied.BackupMethod"
    service.admin("backup", "delete", full, "--with-dependents")
    assert not [one for one in service.admin("backup", "list") if one["instance_id"] == instance_id]
    for id in (copy, instance_id):
        api.delete(id)
    api.close()


def test_a_point_in_time_and_a_switch_begin_with_data_files(service):
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    api.call("ModifyBackupPolicy", InstanceId=instance_id, DBName="shop", EnableBinlogBackup="true")
    run(at, *SCHEMA, "CREATE TABLE account (id INT PRIMARY KEY, amount INT)")
    full = back_up(api, instance_id, BackupMethod="Physical")
    run(at, "INSERT INTO account SELECT seq, 7 FROM seq_1_to_500", "DELETE FROM item WHERE id % 3 = 0")
    expected = tables(at)
    manifest = json.loads((service.data_dir / "backups" / instance_id / full / "manifest.json").read_text())
    # A second after both, whatever was done to the clock in between.
    taken = datetime.datetime.fromisoformat(manifest["taken_at"].replace("Z", "+00:00")).timestamp()
    second = int(max(taken, time.time())) + 1
    poll(lambda: time.time() >= second, 30, "time stands still")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
    run(at, "DROP TABLE account")
    answer = api.call(
        "RestoreDatabase", SrcInstanceId=instance_id, SrcDBName="shop", RestoreType="1", RestoreTime=until, WithAccounts="true"
    )
    copy = answer["NewInstanceId"]
    assert tables(endpoint_of(api.wait_active(copy, 60))) == expected
    api.call("SwitchBackupDatabase", SourceInstanceId=instance_id, NewInstanceId=copy, DBName="shop")
    assert tables(endpoint_of(api.wait_active(instance_id, 60))) == expected
    # The files before are of another node than the one that serves now.
    with pytest.raises(ApiError) as refused:
        back_up(api, instance_id, BackupType="IncrementalBackup")
    assert refused.value.code == "OperationDenied.NotFoundBackup"
    for id in (copy, instance_id):
        api.wait_active(id)
        api.delete(id)
    api.close()


def test_an_incremental_set_that_is_as_large_as_a_full_one_is_a_full_one(service):
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)")
    noise = "CONCAT_WS('', " + ", ".join("RANDOM_BYTES(1024)" for _ in range(64)) + ")"
    run(at, *[f"INSERT INTO blobs VALUES ({row}, {noise})" for row in range(32)])
    full = back_up(api, instance_id, BackupMethod="Physical")
    run(at, "UPDATE blobs SET b = REVERSE(b)", "INSERT INTO blobs SELECT id + 1000, REVERSE(b) FROM blobs")
    instead = back_up(api, instance_id, BackupType="IncrementalBackup")
    shown = listed(service, instead)
    assert shown["base_id"] is None and "the full one before" in shown["note"], shown
    window = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}
    shown = api.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupId=instead, **window)["BackupItems"]["Backup"][0]
    assert shown["BackupType"] == "FullBackup"
    # It needs no other.
    service.admin("backup", "delete", full)
    service.admin("backup", "verify", instead)
    poll(lambda: listed(service, instead)["verified_at"], 60, "the set is not proven")
    assert listed(service, instead)["verify_failure"] is None
    api.delete(instance_id)
    api.close()
