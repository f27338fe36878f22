"""A database over two nodes gets more of them, and loses them again, while drivers use it: no statement fails, and no sum is another."""

import random
import subprocess
import threading
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service
from test_sharding import ACCOUNTS, MONEY, PASSWORD, World, run


@pytest.fixture(scope="module")
def world():
    with Service() as service:
        yield World(service)


class Load:
    """Transfers and sums, each session by itself; what fails is kept."""

    def __init__(self, world):
        self.world, self.failed, self.over = world, [], threading.Event()
        self.transfers, self.sums, self.longest = 0, 0, 0.0
        self.threads = [threading.Thread(target=self.again, args=(self.pay, seed)) for seed in range(3)]
        self.threads.append(threading.Thread(target=self.again, args=(self.look, 9)))

    def again(self, work, seed):
        generator = random.Random(seed)
        try:
            with self.world.connect(read_timeout=30) as connection:
                while not self.over.is_set():
                    begun = time.monotonic()
                    work(connection, generator)
                    self.longest = max(self.longest, time.monotonic() - begun)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not be
            self.failed.append(error)

    def pay(self, connection, generator):
        # In an order that is the same for all, so that nobody waits in a circle.
        low, high = sorted(generator.sample(range(ACCOUNTS), 2))
        amount = generator.randint(-50, 50)
        run(
            connection,
            "BEGIN",
            f"UPDATE account SET money = money - {amount} WHERE id = {low}",
            f"UPDATE account SET money = money + {amount} WHERE id = {high}",
            f"INSERT INTO entry (account, amount) VALUES ({low}, {-amount}), ({high}, {amount})",
            "COMMIT",
        )
        self.transfers += 1

    def look(self, connection, _):
        assert run(connection, "SELECT SUM(money), COUNT(*) FROM account") == ((ACCOUNTS * MONEY, ACCOUNTS),)
        self.sums += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def more(self, transfers=20, sums=3):
        transfers, sums = self.transfers + transfers, self.sums + sums
        poll(lambda: self.failed or (self.transfers >= transfers and self.sums >= sums), 60, "nothing goes on")
        assert self.failed == []

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


def status(world):
    answer = world.service.api().call("DescribeDatabases", InstanceId=world.id)
    (database,) = answer["Databases"]["Database"]
    return database["DBStatus"], int(database["NodeNumber"])


def nodes_of(world):
    return sorted(node["number"] for node in world.service.admin("node", "list") if node["instance_id"] == world.id)


def test_a_node_is_added_while_clients_use_the_database(world):
    with world.connect() as connection:
        run(
            connection,
            "CREATE TABLE account (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE entry (id BIGINT AUTO_INCREMENT, account INT NOT NULL, amount INT, PRIMARY KEY (id, account)) DISTRIBUTE BY HASH(account)",
            "CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(40)) DISTRIBUTE BY BROADCAST",
            "INSERT INTO country VALUES ('DE', 'Deutschland'), ('CN', '中国')",
            "INSERT INTO account VALUES " + ", ".join(f"({n}, {MONEY})" for n in range(ACCOUNTS)),
            "CREATE TABLE filler (id INT NOT NULL PRIMARY KEY, text VARCHAR(200)) DISTRIBUTE BY HASH(id)",
        )
        for part in range(20):
            rows = ", ".join(f"({part * 1000 + n}, '{'x' * 150}')" for n in range(1000))
            run(connection, f"INSERT INTO filler VALUES {rows}")
    with Load(world) as load:
        load.more()
        world.service.api().call("ModifyDatabaseNodesNumber", InstanceId=world.id, DBName="shop", Parameter="3")
        state, number = status(world)
        assert state in ("APPEND", "ACTIVE") and number == 3
        poll(lambda: load.failed or status(world)[0] == "ACTIVE", 180, lambda: str(world.service.admin("task", "list")))
        load.more()
    assert load.failed == []
    print(f"{load.transfers} transfers, {load.sums} sums, the longest took {load.longest * 1000:.0f} ms")
    assert nodes_of(world) == [0, 1, 2]
    with world.connect() as connection:
        assert run(connection, "SELECT COUNT(*), SUM(LENGTH(text)), COUNT(DISTINCT id) FROM filler") == ((20000, 3000000, 20000),)
        entries = 2 * load.transfers
        assert run(connection, "SELECT COUNT(*), COUNT(DISTINCT id), COALESCE(SUM(amount), 0) FROM entry") == ((entries, entries, 0),)
        # Definitions and writes go to all three.
        run(connection, "ALTER TABLE filler ADD COLUMN n INT", "UPDATE filler SET n = id", "DELETE FROM filler WHERE n >= 10000")
        assert run(connection, "SELECT COUNT(*), SUM(n) FROM filler JOIN country ON code = 'DE'") == ((10000, sum(range(10000))),)


def partitions(world, *words):
    return world.service.admin("partition", "list", "--instance", world.id, "--database", "shop", *words)


def move(world, numbers, node):
    chosen = ",".join(map(str, numbers))
    return world.service.admin("partition", "move", "--instance", world.id, "--database", "shop", "--partition", chosen, "--node", str(node))


def test_the_operator_moves_partitions_while_clients_use_them(world):
    with world.connect() as connection:
        before = run(connection, "SELECT COUNT(*), SUM(id) FROM filler")
        run(connection, "TRUNCATE TABLE entry")
        # Of two accounts one is used far more.
        for number in range(100):
            run(connection, f"SELECT money FROM account WHERE id = {7 if number % 10 else 8}")
    told = partitions(world, "--count")
    assert [one["partition"] for one in told] == list(range(16))
    with world.connect() as connection:
        ((rows,),) = run(connection, "SELECT (SELECT COUNT(*) FROM account) + (SELECT COUNT(*) FROM filler)")
    assert sum(one["rows"] for one in told) == rows
    hot, cold = told[7], told[8]
    assert hot["reads"] >= cold["reads"] + 70 and hot["rows_read"] >= cold["rows_read"] + 70, told
    assert hot["reads_per_second"] > cold["reads_per_second"], told
    with pytest.raises(subprocess.CalledProcessError) as refused:
        move(world, [7], hot["node"])
    assert "Nothing has to move" in refused.value.stdout + refused.value.stderr
    target = (hot["node"] + 1) % 3
    with Load(world) as load:
        load.more()
        task = move(world, [7, 8], target)["task_id"]
        poll(lambda: load.failed or status(world)[0] == "ACTIVE", 180, lambda: str(world.service.admin("task", "list")))
        load.more()
    assert load.failed == []
    print(f"{load.transfers} transfers, {load.sums} sums, the longest took {load.longest * 1000:.0f} ms")
    assert world.service.admin("task", "show", task)["status"] == "2"
    after = partitions(world, "--count")
    expected = [target if one["partition"] in (7, 8) else one["node"] for one in told]
    assert [one["node"] for one in after] == expected
    with world.connect() as connection:
        assert run(connection, "SELECT COUNT(*), SUM(id) FROM filler") == before
        assert run(connection, "SELECT COUNT(*), COALESCE(SUM(amount), 0) FROM entry") == ((2 * load.transfers, 0),)
        assert run(connection, "SELECT SUM(money), COUNT(*) FROM account") == ((ACCOUNTS * MONEY, ACCOUNTS),)


def test_a_database_on_one_node_gets_several(world):
    api = world.service.api()
    identifier = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(identifier))
    with world.connect(at) as connection:
        run(
            connection,
            "CREATE TABLE account (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL, note VARCHAR(20) DEFAULT 'new')",
            "CREATE TABLE entry (id BIGINT AUTO_INCREMENT PRIMARY KEY, account INT NOT NULL, FOREIGN KEY (account) REFERENCES account (id))",
            "CREATE VIEW rich AS SELECT id FROM account WHERE money >= 1000",
            "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
            f"INSERT INTO account (id, money) SELECT seq, {MONEY} FROM seq_1_to_{ACCOUNTS}",
            "INSERT INTO entry (account) SELECT id FROM account",
        )
    api.call("ModifyDatabaseNodesNumber", InstanceId=identifier, DBName="shop", Parameter="3")

    def state():
        (database,) = api.call("DescribeDatabases", InstanceId=identifier)["Databases"]["Database"]
        return database["DBStatus"], int(database["NodeNumber"])

    assert state() in (("APPEND", 3), ("ACTIVE", 3))
    poll(lambda: state() == ("ACTIVE", 3), 120, lambda: str(world.service.admin("task", "list")))
    assert len([node for node in world.service.admin("node", "list") if node["instance_id"] == identifier]) == 3
    with world.connect(at) as connection:
        # All is as it was, on the first node.
        assert run(connection, "SELECT COUNT(*), SUM(money) FROM account") == ((ACCOUNTS, ACCOUNTS * MONEY),)
        assert run(connection, "SELECT COUNT(*), twice(4) FROM rich") == ((ACCOUNTS, 8),)
        with pytest.raises(pymysql.err.MySQLError):
            run(connection, "INSERT INTO entry (account) VALUES (-1)")
        # And a table can be distributed now, with its rows.
        run(connection, "DROP TABLE entry", "DROP VIEW rich")
        run(
            connection,
            "CREATE TABLE spread LIKE account DISTRIBUTE BY HASH(id)",
            "INSERT INTO spread SELECT * FROM account",
            "RENAME TABLE account TO account_before",
            "RENAME TABLE spread TO account",
            "DROP TABLE account_before",
            "INSERT INTO account (id, money) VALUES (0, 5)",
        )
        assert run(connection, "SELECT COUNT(*), SUM(money), MIN(note) FROM account") == ((ACCOUNTS + 1, ACCOUNTS * MONEY + 5, "new"),)
        assert run(connection, "SHOW CREATE TABLE account")[0][1].endswith("DISTRIBUTE BY HASH(`id`)")
    told = world.service.admin("partition", "list", "--instance", identifier, "--database", "shop", "--count")
    assert len(told) == 24 and sum(one["rows"] for one in told) == ACCOUNTS + 1
    assert {one["node"] for one in told if one["rows"]} == {0, 1, 2}
    api.delete(identifier)


def test_a_service_that_is_killed_goes_on_with_it(world):
    with world.connect() as connection:
        before = run(connection, "SELECT COUNT(*), SUM(id) FROM filler")
    world.service.api().call("ModifyDatabaseNodesNumber", InstanceId=world.id, DBName="shop", Parameter="4")
    for _ in range(3):
        time.sleep(random.uniform(0.2, 1.5))
        world.service.kill()
        world.service.start()
    poll(lambda: status(world)[0] == "ACTIVE", 180, lambda: str(world.service.admin("task", "list")))
    assert nodes_of(world) == [0, 1, 2, 3] and status(world)[1] == 4
    with world.connect() as connection:
        assert run(connection, "SELECT COUNT(*), SUM(id) FROM filler") == before
        assert run(connection, "SELECT SUM(money), COUNT(*) FROM account") == ((ACCOUNTS * MONEY, ACCOUNTS),)


def test_nodes_are_removed_while_clients_use_the_database(world):
    with world.connect() as connection:
        before = run(connection, "SELECT COUNT(*), SUM(id) FROM filler")
        # What the load counts is its own.
        run(connection, "TRUNCATE TABLE entry")
    with Load(world) as load:
        load.more()
        # Sessions that knew a node with a number do not take the next one with it for the same.
        for number in "232":
            world.service.api().call("ModifyDatabaseNodesNumber", InstanceId=world.id, DBName="shop", Parameter=number)
            poll(lambda: load.failed or status(world)[0] == "ACTIVE", 180, lambda: str(world.service.admin("task", "list")))
            load.more()
    assert load.failed == []
    print(f"{load.transfers} transfers, {load.sums} sums, the longest took {load.longest * 1000:.0f} ms")
    assert nodes_of(world) == [0, 1] and status(world) == ("ACTIVE", 2)
    with world.connect() as connection:
        assert run(connection, "SELECT COUNT(*), SUM(id) FROM filler") == before
        assert run(connection, "SELECT COUNT(*), COALESCE(SUM(amount), 0) FROM entry") == ((2 * load.transfers, 0),)
