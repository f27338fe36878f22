"""A random workload over several nodes with a model of every acknowledged row, backups in its midst, and restores to random seconds:
what is restored is the model of one moment, exactly, and of that second if nothing was under way then.

PITR_ROUNDS restores that often (3 without it), on PITR_NODES nodes (2 without it)."""

import os
import random
import threading
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service
from test_aliyun_sdk import Sdk
from test_disaster import PASSWORD, back_up, run

ROUNDS = int(os.environ.get("PITR_ROUNDS", "3"))
NODES = int(os.environ.get("PITR_NODES", "2"))
SEED = int(os.environ.get("PITR_SEED", "0")) or random.SystemRandom().randrange(1 << 32)


class Model:
    """What is there after so many transactions over nodes, and what was written to one node alone."""

    def __init__(self):
        self.items, self.words, self.notes, self.alone = {}, {}, [], {}

    def copy(self):
        other = Model()
        other.items, other.words, other.notes, other.alone = dict(self.items), dict(self.words), list(self.notes), dict(self.alone)
        return other

    def over_nodes(self):
        return sorted(self.items.items()), sorted(self.words.items()), sorted(self.notes)


class Workload(threading.Thread):
    """Transactions over nodes, each of which counts itself on all of them, and statements on one node alone."""

    def __init__(self, at):
        super().__init__(daemon=True)
        self.random, self.lock = random.Random(SEED), threading.Lock()
        run(
            at,
            "CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(100) COLLATE utf8mb4_bin) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE word (w VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, n INT NOT NULL) DISTRIBUTE BY HASH(w)",
            "CREATE TABLE counter (id INT PRIMARY KEY, n INT NOT NULL) DISTRIBUTE BY BROADCAST",
            "CREATE TABLE note (note VARCHAR(100) COLLATE utf8mb4_bin)",
            "CREATE TABLE alone (id INT PRIMARY KEY, n INT NOT NULL) DISTRIBUTE BY HASH(id)",
            "INSERT INTO counter VALUES (1, 0)",
        )  # fmt: skip
        host, port = at
        self.connection = pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=False)
        self.model, self.next_id = Model(), 1
        # The model after each transaction, by the number that it counted to.
        self.models = [self.model]
        self.over, self.failure = threading.Event(), None

    def run(self):
        try:
            while not self.over.is_set():
                with self.lock:
                    if self.random.random() < 0.3:
                        self.statement()
                    else:
                        self.transaction()
        except Exception as error:
            self.failure = error

    def statement(self):
        """One row, on one node."""
        id, n = self.random.randrange(50), self.random.randrange(1000)
        with self.connection.cursor() as cursor:
            cursor.execute("REPLACE INTO alone VALUES (%s, %s)", (id, n))
        self.connection.commit()
        self.model.alone[id] = n

    def transaction(self):
        model, pick = self.model.copy(), self.random
        with self.connection.cursor() as cursor:
            cursor.execute("UPDATE counter SET n = n + 1 WHERE id = 1")
            for _ in range(pick.randrange(1, 6)):
                kind = pick.choice("iiiudnww")
                value = "".join(pick.choices("abc é\\'\"\n😀", k=pick.randrange(60)))
                if kind == "i":
                    cursor.execute("INSERT INTO item VALUES (%s, %s)", (self.next_id, value))
                    model.items[self.next_id] = value
                    self.next_id += 1
                elif kind == "n":
                    cursor.execute("INSERT INTO note VALUES (%s)", (value,))
                    model.notes.append(value)
                elif kind == "w":
                    word, n = f"w{pick.randrange(40)}", pick.randrange(100)
                    if word in model.words:
                        cursor.execute("UPDATE word SET n = n + %s WHERE w = %s", (n, word))
                        model.words[word] += n
                    else:
                        cursor.execute("INSERT INTO word VALUES (%s, %s)", (word, n))
                        model.words[word] = n
                elif model.items and kind == "u":
                    bound = pick.choice(list(model.items))
                    cursor.execute("UPDATE item SET v = %s WHERE id >= %s", (value, bound))
                    model.items.update({id: value for id in model.items if id >= bound})
                elif model.items:
                    id = pick.choice(list(model.items))
                    cursor.execute("DELETE FROM item WHERE id = %s", (id,))
                    del model.items[id]
            if pick.random() < 0.1:
                self.connection.rollback()
                return
        self.connection.commit()
        self.model = model
        self.models.append(model)

    def goes_on(self):
        assert self.failure is None, self.failure
        enough = len(self.models) + 5
        poll(lambda: len(self.models) > enough or self.failure, 60, "the workload stands still")
        assert self.failure is None, self.failure

    def moment(self, is_still):
        """A second, the numbers of the first and the last transaction that may be the last one of it, and, if nothing was under way, what
        was written to one node."""
        self.goes_on()
        if is_still:
            with self.lock:
                first = len(self.models) - 1
                begun = time.time()
                # Somebody notes a moment every second, also on a slow machine.
                poll(lambda: time.time() > begun + 6, 20, "time stands still")
                second = int(time.time())
                poll(lambda: int(time.time()) > second, 5, "time stands still")
                return second, first, first, dict(self.model.alone)
        first, begun = len(self.models) - 1, time.time()
        poll(lambda: time.time() > begun + 6 or self.failure, 20, "time stands still")
        second = int(time.time())
        poll(lambda: int(time.time()) > second, 5, "time stands still")
        # Who is told of a transaction is told so after it.
        return second, first, len(self.models), None

    def end(self):
        self.over.set()
        self.join()
        assert self.failure is None, self.failure


def content(at):
    host, port = at
    with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop") as connection, connection.cursor() as cursor:

        def rows(query):
            cursor.execute(query)
            return cursor.fetchall()

        ((number,),) = rows("SELECT n FROM counter")
        over_nodes = sorted(rows("SELECT id, v FROM item")), sorted(rows("SELECT w, n FROM word")), sorted(note for (note,) in rows("SELECT note FROM note"))
        return number, over_nodes, dict(rows("SELECT id, n FROM alone"))


@pytest.fixture
def service():
    service = Service()
    del service.config["backup"]["recycle_days"]
    service.config["backup"]["moment_seconds"] = 1
    with service:
        yield service


def test_what_is_restored_is_one_moment_of_all_nodes(service):
    api, sdk = service.api(), Sdk(service.credentials)
    print(f"PITR_SEED={SEED}")
    instance_id = api.order(NodeNumber=NODES, AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    sdk.call("ModifyBackupPolicy", InstanceId=instance_id, DBName="shop", EnableBinlogBackup="true")
    workload = Workload(at)
    workload.start()
    moments = []
    for round in range(ROUNDS):
        if round % 10 == 0:
            workload.goes_on()
            back_up(api, instance_id)
        moments.append(workload.moment(is_still=round % 2 == 1))
    workload.end()
    for second, first, last, alone in moments:
        told = f"{second}, PITR_SEED={SEED}"
        point = {"RestoreType": "1", "RestoreTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))}
        answer = sdk.call("RestoreDatabase", SrcInstanceId=instance_id, SrcDBName="shop", WithAccounts="true", **point)
        restored = answer["NewInstanceId"]
        number, over_nodes, found = content(endpoint_of(api.wait_active(restored, timeout=120)))
        assert first <= number <= last, f"{number} is not of {first} to {last}: {told}"
        assert over_nodes == workload.models[number].over_nodes(), f"{number} is another one: {told}"
        if alone is not None:
            assert found == alone, told
        assert len([node for node in service.admin("node", "list") if node["instance_id"] == restored]) == NODES
        api.delete(restored)
