"""A database over two nodes as a user has it: ordered by the API, used by drivers that know nothing of nodes, and killed."""

import json
import random
import subprocess
import threading

import mysql.connector
import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service, end
from test_aliyun_sdk import Sdk

PASSWORD = "Passw0rd!"
ACCOUNTS, MONEY = 200, 1000


class World:
    """A service with an instance whose database has two nodes, and one with the same tables on one."""

    def __init__(self, service):
        self.service = service
        sdk = Sdk(service.credentials)
        api = service.api()
        self.id = api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        plain = api.order(AccountPassword=PASSWORD)["InstanceId"]
        self.at = endpoint_of(api.wait_active(self.id))
        self.plain = endpoint_of(api.wait_active(plain))
        self.sdk = sdk

    def connect(self, at=None, **keywords):
        host, port = at or self.at
        keywords = {"autocommit": True, "database": "shop", **keywords}
        return pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, **keywords)

    def client(self, *words, at=None, **keywords):
        host, port = at or self.at
        command = [words[0], f"-h{host}", f"-P{port}", "-ualice", f"-p{PASSWORD}", *words[1:]]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **keywords).stdout


def run(connection, *statements):
    """The rows of the last one."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def world():
    with Service() as service:
        yield World(service)


ORDERS = "CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT, customer INT NOT NULL, total DECIMAL(10,2), PRIMARY KEY (id, customer), KEY (customer))"
CUSTOMERS = "CREATE TABLE customers (id INT NOT NULL PRIMARY KEY, name VARCHAR(40) CHARACTER SET utf8mb4 NOT NULL, country CHAR(2) NOT NULL)"
COUNTRIES = "CREATE TABLE countries (code CHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(40))"


def fill(world):
    """The same rows on both sides."""
    for at, clauses in ((world.at, (" DISTRIBUTE BY HASH(customer)", " DISTRIBUTE BY HASH(id)", " DISTRIBUTE BY BROADCAST")), (world.plain, ("", "", ""))):
        with world.connect(at) as connection:
            run(connection, *("DROP TABLE IF EXISTS " + name for name in ("orders", "customers", "countries")))
            run(connection, *(table + clause for table, clause in zip((ORDERS, CUSTOMERS, COUNTRIES), clauses)))
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO countries VALUES ('DE', 'Deutschland'), ('CN', '中国')")
                cursor.executemany(
                    "INSERT INTO customers VALUES (%s, %s, %s)", [(n, f"Kunde ü{n}", "DE" if n % 3 else "CN") for n in range(1, 101)]
                )
                cursor.executemany("INSERT INTO orders (customer, total) VALUES (%s, %s)", [(n * 7 % 100 + 1, f"{n}.{n % 100:02}") for n in range(1000)])
                assert cursor.rowcount == 1000


QUESTIONS = [
    "SELECT COUNT(*), SUM(total), AVG(total), MIN(id), MAX(customer) FROM orders",
    "SELECT customer, COUNT(*) AS n, SUM(total) FROM orders GROUP BY customer HAVING n > 9 ORDER BY 3 DESC LIMIT 7",
    "SELECT c.name, COUNT(o.id) FROM customers c LEFT JOIN orders o ON o.customer = c.id GROUP BY c.id ORDER BY c.id LIMIT 20 OFFSET 30",
    "SELECT k.name, SUM(o.total) FROM orders o JOIN customers c ON c.id = o.customer JOIN countries k ON k.code = c.country GROUP BY k.code ORDER BY 1",
    "SELECT * FROM orders WHERE customer = 17 ORDER BY total DESC",
    "SELECT id FROM orders WHERE customer IN (3, 4) AND total > ALL (SELECT AVG(total) FROM orders) ORDER BY id",
    "SELECT name FROM customers WHERE id NOT IN (SELECT customer FROM orders WHERE total < 900) UNION SELECT name FROM countries ORDER BY name",
    "SELECT customer, total, RANK() OVER (PARTITION BY customer ORDER BY total) FROM orders ORDER BY 1, 2 LIMIT 10",
]  # fmt: skip


def test_an_order_of_two_nodes_has_them(world):
    partitions = world.sdk.call("DescribeDatabasePartitions", InstanceId=world.id, DBName="shop")
    text = str(partitions)
    assert text.count("PartitionId") == 16 or text.count("PartitionName") == 16, partitions
    nodes = [node for node in world.service.admin("node", "list") if node["instance_id"] == world.id]
    assert len(nodes) == 2


def test_drivers_get_the_answers_of_one_server(world):
    fill(world)
    with world.connect() as here, world.connect(world.plain) as there:
        for question in QUESTIONS:
            assert run(here, question) == run(there, question), question
    answers = []
    for at in (world.at, world.plain):
        host, port = at
        connection = mysql.connector.connect(
            host=host, port=port, user="alice", password=PASSWORD, database="shop", use_pure=True, collation="utf8mb4_general_ci"
        )
        cursor = connection.cursor(prepared=True)
        found = []
        for customer in (1, 2, 50):
            cursor.execute("SELECT id, total FROM orders WHERE customer = %s ORDER BY id", (customer,))
            found.append(cursor.fetchall())
        cursor.execute("SELECT customer, SUM(total) FROM orders WHERE total > %s GROUP BY customer ORDER BY customer", (500,))
        found.append(cursor.fetchall())
        connection.close()
        answers.append(found)
    assert answers[0] == answers[1]


def test_who_may_only_read_reads_rows_of_all_nodes(world):
    fill(world)
    reader = {"InstanceId": world.id, "AccountName": "reader"}
    world.sdk.call("CreateAccount", AccountPassword=PASSWORD, DBInfo=json.dumps({"ReadOnly": ["shop"]}), **reader)
    host, port = world.at
    query = "SELECT c.country, COUNT(*), SUM(o.total) FROM orders o JOIN customers c ON c.id = o.customer GROUP BY c.country ORDER BY 1"

    def reads():
        try:
            with pymysql.connect(host=host, port=port, user="reader", password=PASSWORD, database="shop") as connection:
                return run(connection, query)
        except pymysql.err.OperationalError:
            # The account is made by a task.
            return None

    with world.connect(world.plain) as connection:
        expected = run(connection, query)
    assert poll(reads, 60, "it does not read") == expected
    with pymysql.connect(host=host, port=port, user="reader", password=PASSWORD, database="shop") as connection:
        for statement in ("INSERT INTO customers VALUES (0, 'x', 'DE')", "DELETE FROM orders", "CREATE TABLE mine (id INT)"):
            with pytest.raises(pymysql.err.OperationalError, match="command denied"):
                run(connection, statement)
    world.sdk.call("DeleteAccount", **reader)


def test_a_table_is_shown_as_it_was_made(world):
    fill(world)
    with world.connect() as connection:
        ((_, shown),) = run(connection, "SHOW CREATE TABLE orders")
        assert shown.endswith("DISTRIBUTE BY HASH(`customer`)"), shown
        ((_, shown),) = run(connection, "SHOW CREATE TABLE countries")
        assert shown.endswith("DISTRIBUTE BY BROADCAST"), shown
        with pytest.raises(pymysql.err.MySQLError) as refused:
            run(connection, "UPDATE orders SET customer = 1 WHERE customer = 2")
        assert "OpenPeta" in str(refused.value)


def test_a_dump_is_made_and_loaded(world):
    fill(world)
    for option in ("--opt", "--single-transaction"):
        dump = world.client("mariadb-dump", "--no-tablespaces", option, "shop", "orders", "customers")
        assert dump.count("DISTRIBUTE BY HASH") == 2
        with world.connect() as connection:
            before = [run(connection, question) for question in QUESTIONS]
            run(connection, "TRUNCATE TABLE orders")
            assert run(connection, "SELECT COUNT(*) FROM orders") == ((0,),)
            run(connection, "DROP TABLE orders, customers")
        world.client("mariadb", "shop", input=dump)
        with world.connect() as connection:
            assert [run(connection, question) for question in QUESTIONS] == before


def transfer(connection, generator):
    payer, payee = generator.sample(range(ACCOUNTS), 2)
    amount = generator.randint(1, 50)
    run(
        connection,
        "BEGIN",
        f"UPDATE account SET money = money - {amount} WHERE id = {payer}",
        f"UPDATE account SET money = money + {amount} WHERE id = {payee}",
        "COMMIT",
    )


def test_money_survives_kills_of_service_and_nodes(world):
    with world.connect() as connection:
        run(connection, "DROP TABLE IF EXISTS account", "CREATE TABLE account (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL) DISTRIBUTE BY HASH(id)")
        run(connection, "INSERT INTO account VALUES " + ", ".join(f"({n}, {MONEY})" for n in range(ACCOUNTS)))
    done, torn, over = [0], [], threading.Event()

    def again(work, seed):
        generator = random.Random(seed)
        while not over.is_set():
            try:
                with world.connect(connect_timeout=5, read_timeout=20) as connection:
                    while not over.is_set():
                        work(connection, generator)
            except (pymysql.err.MySQLError, OSError):
                # Killed, a deadlock, or not there yet.
                pass

    def pay(connection, generator):
        transfer(connection, generator)
        done[0] += 1

    def look(connection, _):
        ((money,),) = run(connection, "SELECT SUM(money) FROM account")
        if money != ACCOUNTS * MONEY:
            torn.append(money)

    threads = [threading.Thread(target=again, args=(pay, seed)) for seed in range(3)] + [threading.Thread(target=again, args=(look, 9))]
    for thread in threads:
        thread.start()
    try:
        for kill in ("service", "nodes", "node", "service"):
            before = done[0]
            poll(lambda: done[0] > before + 20, 60, lambda: f"no transfers: {done}")
            if kill == "service":
                world.service.kill()
                world.service.start()
            else:
                pids = world.service.node_pids()
                for pid in pids if kill == "nodes" else pids[:1]:
                    end(pid)
        before = done[0]
        poll(lambda: done[0] > before + 20, 60, lambda: f"no transfers: {done}")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert torn == []

    def settled():
        try:
            with world.connect() as connection:
                # Locks everything, so nothing is in doubt any longer.
                run(connection, "SET innodb_lock_wait_timeout = 1", "BEGIN", "SELECT * FROM account FOR UPDATE", "COMMIT")
                return run(connection, "SELECT SUM(money), COUNT(*) FROM account")
        except pymysql.err.MySQLError:
            return None

    found = []
    poll(lambda: found.append(settled()) or found[-1], 5, "something stays in doubt")
    assert found[-1] == ((ACCOUNTS * MONEY, ACCOUNTS),)


def test_an_instance_of_two_nodes_goes_without_a_trace(world):
    api = world.service.api()
    identifier = api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(identifier))
    with world.connect(at) as connection:
        run(connection, ORDERS + " DISTRIBUTE BY HASH(customer)")
    pids = set(world.service.node_pids())
    api.delete(identifier)
    assert not [node for node in world.service.admin("node", "list") if node["instance_id"] == identifier]
    assert len(pids - set(world.service.node_pids())) >= 2
    assert not (world.service.data_dir / "coordinator" / identifier).exists()
