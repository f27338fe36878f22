"""A database that is whole on node 0, in an instance with two nodes, is backed up while transactions write to it and to a distributed
table at once: a set has each of them or none of it, and the log goes on from it."""

import random
import threading
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service
from test_aliyun_sdk import Sdk
from test_disaster import PASSWORD

ACCOUNTS, MONEY, CLERKS, SETS = 40, 1000, 6, 4


@pytest.fixture(scope="module")
def service():
    service = Service()
    del service.config["backup"]["recycle_days"]
    with service:
        yield service


def execute(at, *statements, database="ledger"):
    host, port = at
    with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database=database, autocommit=True) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()


class Office:
    """Clerks who book each transfer in both databases."""

    def __init__(self, service):
        self.service, self.api, self.sdk = service, service.api(), Sdk(service.credentials)
        self.id = self.api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        self.api.wait_active(self.id)
        self.api.call("CreateDatabase", InstanceId=self.id, DBName="ledger", NodeSpec="petadata.s2.large", NodeNumber=1)
        self.tasks_end()
        self.api.call("GrantAccountPrivilege", InstanceId=self.id, AccountName="alice", DBName="ledger", AccountPrivilege="ReadWrite")
        self.tasks_end()
        self.at = endpoint_of(self.api.wait_active(self.id))
        execute(
            self.at,
            "CREATE TABLE book (id BIGINT NOT NULL PRIMARY KEY, payer INT NOT NULL, payee INT NOT NULL, amount INT NOT NULL)",
            "CREATE TABLE balance (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL)",
            "INSERT INTO balance VALUES " + ", ".join(f"({n}, {MONEY})" for n in range(ACCOUNTS)),
            "CREATE TABLE shop.receipt (id BIGINT NOT NULL PRIMARY KEY, amount INT NOT NULL) DISTRIBUTE BY HASH(id)",
        )  # fmt: skip
        self.api.call("ModifyBackupPolicy", InstanceId=self.id, DBName="ledger", EnableBinlogBackup="true")
        # What was begun, and when it was acknowledged.
        self.next, self.done, self.lock = 1, {}, threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(CLERKS)]

    def tasks_end(self):
        poll(lambda: {str(task["Status"]) for task in self.api.tasks(self.id)} == {"2"}, 60, lambda: self.api.tasks(self.id))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def work(self, seed):
        generator = random.Random(seed)
        host, port = self.at
        database = ("ledger", "shop")[seed % 2]
        with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database=database) as connection:
            while not self.over.is_set():
                with self.lock:
                    number, self.next = self.next, self.next + 1
                payer, payee = sorted(generator.sample(range(ACCOUNTS), 2))
                amount = generator.randint(-50, 50)
                try:
                    with connection.cursor() as cursor:
                        cursor.execute("BEGIN")
                        cursor.execute(f"UPDATE ledger.balance SET money = money - {amount} WHERE id = {payer}")
                        cursor.execute(f"UPDATE ledger.balance SET money = money + {amount} WHERE id = {payee}")
                        cursor.execute(f"INSERT INTO ledger.book VALUES ({number}, {payer}, {payee}, {amount})")
                        # Two of them are on both nodes most of the time.
                        cursor.execute(f"INSERT INTO shop.receipt VALUES ({2 * number}, {amount}), ({2 * number + 1}, {amount})")
                        cursor.execute("COMMIT")
                    self.done[number] = time.time()
                except pymysql.err.OperationalError as error:
                    # A deadlock, which only undoes it.
                    assert error.args[0] in (1213, 1205), error
                    connection.rollback()

    def goes_on(self, count=30):
        before = len(self.done)
        poll(lambda: len(self.done) > before + count, 60, lambda: f"no transfers: {len(self.done)}")

    def set_of(self, method):
        """A set, and what was acknowledged before it was asked for."""
        before = set(self.done)
        backup_id = str(self.api.call("CreateDatabaseBackup", InstanceId=self.id, DBName="ledger", BackupMethod=method)["BackupId"])

        def ended():
            (row,) = [row for row in self.service.admin("backup", "list") if row["backup_id"] == backup_id]
            return row if row["status"] != "Progress" else None

        row = poll(ended, 120, "the backup does not end")
        assert row["status"] == "Success", row
        return backup_id, before

    def restored(self, **point):
        answer = self.sdk.call("RestoreDatabase", SrcInstanceId=self.id, SrcDBName="ledger", WithAccounts="true", **point)
        new_id = answer["NewInstanceId"]

        def ended():
            (task,) = self.api.tasks(new_id)
            return task if str(task["Status"]) not in ("0", "1") else None

        task = poll(ended, 120, lambda: self.api.tasks(new_id))
        assert str(task["Status"]) == "2", task
        return new_id, endpoint_of(self.api.wait_active(new_id))


def check(at, least):
    """What is booked explains where the money is, and nothing is missing."""
    has = dict.fromkeys(range(ACCOUNTS), MONEY)
    booked = set()
    for number, payer, payee, amount in execute(at, "SELECT id, payer, payee, amount FROM book"):
        booked.add(number)
        has[payer] -= amount
        has[payee] += amount
    assert dict(execute(at, "SELECT id, money FROM balance")) == has
    assert least <= booked, sorted(least - booked)
    return booked


@pytest.mark.parametrize("method", ["Logical", "Physical"])
def test_a_set_has_nothing_of_a_transaction_over_nodes_without_its_end(service, method):
    with Office(service) as office:
        for _ in range(SETS):
            office.goes_on()
            backup_id, before = office.set_of(method)
            office.goes_on()
            # As far as the log goes, from this set on; what was acknowledged two seconds before is there.
            until = int(time.time()) + 1
            poll(lambda: time.time() > until + 1, 10, "time stands still")
            least = {number for number, at in list(office.done.items()) if at < until - 2}
            for point, wanted in ({"BackupId": backup_id}, before), ({"RestoreType": "1", "RestoreTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))}, least):
                new_id, at = office.restored(**point)
                booked = check(at, wanted)
                assert booked <= set(range(1, office.next))
                office.api.delete(new_id)
    # All that is over is in the last set, and nothing is left to be settled.
    backup_id, before = office.set_of(method)
    new_id, at = office.restored(BackupId=backup_id)
    assert check(at, before) == set(office.done)
    for instance in (new_id, office.id):
        office.api.delete(instance)
