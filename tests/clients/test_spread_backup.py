"""A database over two nodes is backed up while money is moved between them, and restored: nothing is torn, nothing is lost."""

import json
import random
import threading
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service, end
from test_aliyun_sdk import Sdk
from test_disaster import PASSWORD, back_up, run

ACCOUNTS, MONEY = 200, 1000


@pytest.fixture(scope="module")
def spread_service():
    service = Service()
    del service.config["backup"]["recycle_days"]
    service.config["backup"]["moment_seconds"] = 1
    with service:
        yield service


class Bank:
    """An instance over two nodes, and threads that move money in it."""

    def __init__(self, service):
        self.service = service
        self.call_anew()
        self.id = self.api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        self.at = endpoint_of(self.api.wait_active(self.id))
        run(
            self.at,
            "CREATE TABLE account (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE moved (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, payer INT NOT NULL, payee INT NOT NULL, amount INT NOT NULL) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE currency (code CHAR(3) NOT NULL PRIMARY KEY, name VARCHAR(40)) DISTRIBUTE BY BROADCAST",
            "CREATE TABLE notes (id INT PRIMARY KEY, note TEXT)",
            "CREATE VIEW rich AS SELECT id FROM account WHERE money > 1000",
            "INSERT INTO account VALUES " + ", ".join(f"({n}, {MONEY})" for n in range(ACCOUNTS)),
            "INSERT INTO currency VALUES ('EUR', 'Euro'), ('CNY', '元')",
            "INSERT INTO notes VALUES (1, 'it''s here')",
        )  # fmt: skip
        self.done, self.over = [], threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(3)]

    def call_anew(self):
        """The API has other ports after a restart."""
        self.api, self.sdk = self.service.api(), Sdk(self.service.credentials)

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
        while not self.over.is_set():
            try:
                host, port = self.at
                with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", connect_timeout=5, read_timeout=20) as connection:
                    while not self.over.is_set():
                        self.move(connection, generator)
            except (pymysql.err.MySQLError, OSError):
                # Killed, a deadlock, or not there yet.
                pass

    def move(self, connection, generator):
        payer, payee = generator.sample(range(ACCOUNTS), 2)
        amount = generator.randint(1, 50)
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"UPDATE account SET money = money - {amount} WHERE id = {payer}")
            cursor.execute(f"UPDATE account SET money = money + {amount} WHERE id = {payee}")
            cursor.execute(f"INSERT INTO moved (payer, payee, amount) VALUES ({payer}, {payee}, {amount})")
            cursor.execute("COMMIT")
            self.done.append(cursor.lastrowid or 0)

    def goes_on(self, count=20):
        before = len(self.done)
        poll(lambda: len(self.done) > before + count, 60, lambda: f"no transfers: {len(self.done)}")

    def answers(self):
        """All nodes are there: transfers on one of them alone go on without the others."""

        def counted():
            try:
                return rows(self.at, "SELECT COUNT(*) FROM account") == ((ACCOUNTS,),)
            except (pymysql.err.MySQLError, OSError):
                return False

        poll(counted, 60, "a node does not come back")


def rows(at, query):
    host, port = at
    with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop") as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def check(at, least, most):
    """The money is all there, what was moved explains where it is, and so many transfers were made."""
    assert rows(at, "SELECT SUM(money), COUNT(*) FROM account") == ((ACCOUNTS * MONEY, ACCOUNTS),)
    moved = rows(at, "SELECT id, payer, payee, amount FROM moved")
    has = dict.fromkeys(range(ACCOUNTS), MONEY)
    for _, payer, payee, amount in moved:
        has[payer] -= amount
        has[payee] += amount
    assert dict(rows(at, "SELECT id, money FROM account")) == has
    assert least <= len(moved) <= most, (least, len(moved), most)
    assert rows(at, "SELECT name FROM currency ORDER BY code") == (("元",), ("Euro",))
    assert rows(at, "SELECT note FROM notes") == (("it's here",),)
    ((_, shown),) = rows(at, "SHOW CREATE TABLE account")
    assert shown.endswith("DISTRIBUTE BY HASH(`id`)"), shown
    # Ids go on behind those that are there.
    host, port = at
    with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO moved (payer, payee, amount) VALUES (0, 0, 0)")
            assert cursor.lastrowid > max((row[0] for row in moved), default=0)
            cursor.execute(f"DELETE FROM moved WHERE id = {cursor.lastrowid}")


def restored(bank, **point):
    answer = bank.sdk.call("RestoreDatabase", SrcInstanceId=bank.id, SrcDBName="shop", WithAccounts="true", **point)
    info = bank.api.wait_active(answer["NewInstanceId"])
    return answer["NewInstanceId"], endpoint_of(info)


def test_sets_under_transfers_have_one_moment(spread_service):
    service = spread_service
    with Bank(service) as bank:
        for kill in (None, "node", "service"):
            bank.goes_on()
            least = len(bank.done)
            if kill == "node":
                end(service.node_pids()[-1])
            backup_id = back_up(bank.api, bank.id)
            if kill == "service":
                service.kill()
                service.start()
                bank.call_anew()
            # One thread each may have committed what it was not told of.
            new_id, at = restored(bank, BackupId=backup_id)
            check(at, least, len(bank.done) + 3 * 10)
            bank.goes_on()
            nodes = [node for node in service.admin("node", "list") if node["instance_id"] == new_id]
            assert len(nodes) == 2
            bank.api.delete(new_id)
        (row,) = [row for row in service.admin("backup", "list") if row["backup_id"] == backup_id]
        service.admin("backup", "verify", backup_id)

        def proven():
            (row,) = [row for row in service.admin("backup", "list") if row["backup_id"] == backup_id]
            assert row["verify_failure"] is None, row
            return row["verified_at"] is not None

        poll(proven, 60, lambda: service.admin("backup", "list"))


def test_a_time_is_a_moment_of_all_nodes(spread_service):
    service = spread_service
    with Bank(service) as bank:
        bank.sdk.call("ModifyBackupPolicy", InstanceId=bank.id, DBName="shop", EnableBinlogBackup="true")
        bank.goes_on()
        back_up(bank.api, bank.id)
        for kill in (None, "node", "service"):
            bank.goes_on()
            if kill == "node":
                end(service.node_pids()[-1])
                bank.answers()
            elif kill == "service":
                service.kill()
                service.start()
                bank.call_anew()
                bank.goes_on()
            # Nobody defines anything, so that no moment is passed over for long.
            run(bank.at, f"CREATE TABLE since_{kill} (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)", f"INSERT INTO since_{kill} VALUES (1), (2), (3), (4)")
            least, begun = len(bank.done), time.time()
            poll(lambda: time.time() > begun + 8, 20, "time stands still")
            until, most = int(time.time()), len(bank.done)
            poll(lambda: time.time() > until + 1, 5, "time stands still")
            bank.goes_on()
            new_id, at = restored(bank, RestoreType="1", RestoreTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)))
            check(at, least, most + 3 * 10)
            assert rows(at, f"SELECT COUNT(*) FROM since_{kill}") == ((4,),)
            bank.api.delete(new_id)


def test_a_transaction_of_any_node_names_the_moment_before_it(spread_service):
    service = spread_service
    with Bank(service) as bank:
        bank.sdk.call("ModifyBackupPolicy", InstanceId=bank.id, DBName="shop", EnableBinlogBackup="true")
        bank.goes_on()
        back_up(bank.api, bank.id)
        bank.goes_on()
    done = len(bank.done)
    run(bank.at, "CREATE TABLE mark (id INT PRIMARY KEY)", "INSERT INTO mark VALUES (1)")
    marked = time.time()
    homes = [node["node_id"] for node in service.admin("node", "list") if node["instance_id"] == bank.id and node["number"] == 0]
    moments = service.data_dir / "binlogs" / homes[0] / "moments"

    def noted():
        last = moments.read_text().splitlines()[-1] if moments.exists() else None
        at = json.loads(last)["at"] if last else "1970-01-01T00:00:00Z"
        return time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone > marked
    # What is written has the next moment told from the one before.
    poll(lambda: run(bank.at, "UPDATE mark SET id = id + 1") or noted(), 60, "no moment is noted", interval=0.5)
    run(bank.at, "DELETE FROM account WHERE id < 100")
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(marked))

    def searched():
        # The second of the mark has transfers as well, and they come first.
        asked = ["--instance-id", bank.id, "--db-name", "shop", "--table", "account", "--from", since, "--limit", "10000"]
        found = service.admin("backup", "log-search", *asked)
        bad = [row["gtid"] for row in found if any(table["deleted"] > 10 for table in row["tables"])]
        return bad if len({gtid.split("-")[1] for gtid in bad}) == 2 else None

    # The archive has it within seconds.
    bad = poll(searched, 60, "the deletion is not in the logs of both nodes")
    for gtid in bad:
        new_id, at = restored(bank, RestoreType="1", RestoreBeforeGtid=gtid)
        assert rows(at, "SELECT COUNT(*) FROM mark") == ((1,),)
        check(at, done, done + 3)
        bank.api.delete(new_id)
    # With either of them it is there on both nodes. Its moment was noted, or is within seconds.
    for gtid in bad:
        refused = []

        def begun():
            try:
                return restored(bank, RestoreType="1", RestoreGtid=gtid)
            except Exception as error:  # noqa: BLE001
                assert "OperationDenied.NotFoundBackup" in str(error), error
                refused.append(error)
                return None

        new_id, at = poll(begun, 60, lambda: refused[-1], interval=0.5)
        assert rows(at, "SELECT COUNT(*), MIN(id) FROM account") == ((ACCOUNTS - 100, 100),)
        assert rows(at, "SELECT COUNT(*) FROM moved")[0][0] >= done
        bank.api.delete(new_id)
    for point in {"RestoreBeforeGtid": "0-1-1"}, {"RestoreGtid": "0-1-1"}:
        with pytest.raises(Exception, match="OperationDenied.NotFoundBackup"):
            restored(bank, RestoreType="1", **point)


@pytest.mark.parametrize("killed", [False, True])
def test_a_deleted_one_comes_back_out_of_the_bin(spread_service, killed):
    """Also when a node has just gone down with transactions that are decided and not carried out there."""
    service = spread_service
    with Bank(service) as bank:
        bank.goes_on()
        if killed:
            end(service.node_pids()[-1])
            bank.sdk.call("DeleteInstance", InstanceId=bank.id)
    done = len(bank.done)
    if not killed:
        bank.sdk.call("DeleteInstance", InstanceId=bank.id)
    bank.api.wait_gone(bank.id)
    (entry,) = [entry for entry in service.admin("recycle", "list") if entry["instance_id"] == bank.id]
    assert entry["final"] is True
    answer = service.admin("recycle", "restore", entry["backup_id"], "--with-accounts")
    info = bank.api.wait_active(answer["instance_id"])
    check(endpoint_of(info), done, done + 3)
    bank.api.delete(answer["instance_id"])
