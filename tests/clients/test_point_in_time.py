"""A random workload with a model of every acknowledged row, a backup in its midst, and restores to
random seconds through the vendor's SDK: what is restored is the model of that second, exactly.

PITR_ROUNDS restores that often (3 without it)."""

import datetime
import json
import os
import random
import statistics
import threading
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from test_aliyun_sdk import PASSWORD, Sdk

ROUNDS = int(os.environ.get("PITR_ROUNDS", "3"))
SEED = int(os.environ.get("PITR_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


class Workload(threading.Thread):
    """Transactions over two tables, and what they made of them. Between transactions somebody else
    may hold the lock."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.random = random.Random(SEED)
        self.lock = threading.Lock()
        self.connection = pymysql.connect(
            host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=False
        )
        self.rows, self.log, self.next_id, self.commits = {}, [], 1, 0
        self.over, self.failure = threading.Event(), None
        with self.connection.cursor() as cursor:
            cursor.execute("CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(100))")
            cursor.execute("CREATE TABLE log (note VARCHAR(100))")

    def run(self):
        try:
            while not self.over.is_set():
                with self.lock:
                    self.transaction()
        except Exception as error:
            self.failure = error

    def transaction(self):
        rows, log, pick = dict(self.rows), list(self.log), self.random
        with self.connection.cursor() as cursor:
            for _ in range(pick.randrange(1, 6)):
                kind = pick.choice("iiiudl")
                value = "".join(pick.choices("abc é\\'\"\n", k=pick.randrange(60)))
                if kind == "i":
                    cursor.execute("INSERT INTO item VALUES (%s, %s)", (self.next_id, value))
                    rows[self.next_id] = value
                    self.next_id += 1
                elif kind == "l":
                    cursor.execute("INSERT INTO log VALUES (%s)", (value,))
                    log.append(value)
                elif rows and kind == "u":
                    bound = pick.choice(list(rows))
                    cursor.execute("UPDATE item SET v = %s WHERE id >= %s", (value, bound))
                    rows.update({id: value for id in rows if id >= bound})
                elif rows:
                    id = pick.choice(list(rows))
                    cursor.execute("DELETE FROM item WHERE id = %s", (id,))
                    del rows[id]
            if pick.random() < 0.1:
                self.connection.rollback()
                return
        self.connection.commit()
        self.rows, self.log = rows, log
        self.commits += 1

    def moment(self):
        """The begin of a second at which nothing is under way, and what is there then."""
        enough = self.commits + 5
        poll(lambda: self.commits > enough or self.failure, 60, "the workload stands still")
        with self.lock:
            begun = int(time.time())
            poll(lambda: int(time.time()) > begun, 5, "time stands still")
            assert self.failure is None, self.failure
            return int(time.time()), (sorted(self.rows.items()), sorted(self.log))

    def end(self):
        self.over.set()
        self.join()


def content(host, port):
    connection = pymysql.connect(
        host=host, port=port, user="reader", password=PASSWORD, database="shop"
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, v FROM item")
        items = sorted(cursor.fetchall())
        cursor.execute("SELECT note FROM log")
        return items, sorted(note for (note,) in cursor.fetchall())


@pytest.fixture
def logged(credentials):
    sdk = Sdk(credentials)
    instance_id = sdk.create()["InstanceId"]
    host, port = endpoint_of(sdk.wait_active(instance_id))
    sdk.call("ModifyBackupPolicy", InstanceId=instance_id, DBName="shop", EnableBinlogBackup="true")
    yield sdk, instance_id, host, port
    sdk.delete(instance_id)


def back_up(sdk, instance_id):
    backup_id = sdk.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop")["BackupId"]

    def whole():
        sets = sdk.call(
            "DescribeDatabaseBackup",
            InstanceId=instance_id,
            DBName="shop",
            StartTime="2019-01-01T00:00Z",
            EndTime="2999-01-01T00:00Z",
            BackupId=backup_id,
        )
        (one,) = sets["BackupItems"]["Backup"]
        assert one["BackupStatus"] != "Failed"
        return one["BackupStatus"] == "Success"

    poll(whole, 60, "the backup does not end")


def test_what_is_restored_is_what_was_there_at_that_second(logged):
    sdk, instance_id, host, port = logged
    print(f"PITR_SEED={SEED}")
    workload = Workload(host, port)
    workload.start()
    moments = []
    for round in range(ROUNDS):
        if round % 10 == 0:
            # Its moment is somewhere among the transactions.
            back_up(sdk, instance_id)
        moments.append(workload.moment())
    workload.end()
    assert workload.failure is None, workload.failure
    for second, there in moments:
        at = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
        restored = sdk.call(
            "RestoreDatabase",
            SrcInstanceId=instance_id,
            SrcDBName="shop",
            RestoreType="1",
            RestoreTime=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )["NewInstanceId"]
        endpoint = endpoint_of(sdk.wait_active(restored))
        sdk.call(
            "CreateAccount",
            InstanceId=restored,
            AccountName="reader",
            AccountPassword=PASSWORD,
            DBInfo=json.dumps({"ReadOnly": ["shop"]}),
        )
        found = poll(lambda: reachable(endpoint), 60, "the account does not come")
        assert found == there, f"{at} differs, PITR_SEED={SEED}"
        sdk.delete(restored)


def test_what_is_written_is_archived_within_seconds(own):
    """How much the loss of the disk would cost while clients write: the age of the newest archived event."""
    service = own().start()
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    host, port = endpoint_of(api.wait_active(instance_id))
    api.call("ModifyBackupPolicy", InstanceId=instance_id, DBName="shop", EnableBinlogBackup="true")
    workload = Workload(host, port)
    workload.start()

    def age():
        logs = service.admin("backup", "logs")
        until = logs[0]["archived_until"] if logs else None
        return until and time.time() - datetime.datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp()

    poll(lambda: age() is not None, 30, "nothing is archived")
    ages = []
    for _ in range(20):
        ages.append(age())
        time.sleep(0.25)
    workload.end()
    assert workload.failure is None, workload.failure
    # Times are told to the second.
    assert statistics.median(ages) <= 5, ages


def reachable(endpoint):
    """What is there, once the account is."""
    try:
        return content(*endpoint)
    except pymysql.err.OperationalError:
        return None
