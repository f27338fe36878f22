"""Definitions of the API in a database over two nodes: tables that are distributed, on both nodes or none."""

import threading
import time

import pymysql
import pytest

from harness.api import ApiError, endpoint_of, poll
from harness.service import Service

PASSWORD = "Passw0rd!"


class World:
    def __init__(self, service):
        self.service = service
        api = service.api()
        self.id = api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        self.host, self.port = endpoint_of(api.wait_active(self.id))

    def call(self, action, **parameters):
        return self.service.api().call(action, InstanceId=self.id, DBName="shop", **parameters)

    def sql(self, statement):
        with pymysql.connect(host=self.host, port=self.port, user="alice", password=PASSWORD, database="shop", autocommit=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()

    def shown(self, table):
        return self.sql(f"SHOW CREATE TABLE `{table}`")[0][1]

    def tables(self):
        return {table["TableName"]: table["PartitionKey"] for table in self.call("DescribeTables")["Tables"]["Table"]}

    def refused(self, action, **parameters):
        with pytest.raises(ApiError) as refused:
            self.call(action, **parameters)
        assert "openpeta-ddl" not in str(refused.value)
        return refused.value


@pytest.fixture(scope="module")
def world():
    with Service() as service:
        yield World(service)


def test_tables_are_defined_on_all_nodes(world):
    world.call("CreateTable", TableDDL="CREATE TABLE orders (id BIGINT PRIMARY KEY, total DECIMAL(10,2))", PartitionKey="id")
    world.call("CreateTable", TableDDL="CREATE TABLE shop.named (`a_b` INT PRIMARY KEY) DISTRIBUTE_KEY(`a_b`);", PartitionKey="A_B")
    world.call("CreateTable", TableDDL="CREATE TABLE copies (id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST")
    world.call("CreateTable", TableDDL="CREATE TABLE single (id INT PRIMARY KEY)")
    assert world.tables() == {"orders": "id", "named": "a_b", "copies": "", "single": ""}
    assert world.shown("orders").endswith("DISTRIBUTE BY HASH(`id`)")
    assert world.shown("copies").endswith("DISTRIBUTE BY BROADCAST")

    world.sql("INSERT INTO orders VALUES " + ", ".join(f"({n}, {n})" for n in range(100)))
    assert world.sql("EXPLAIN ROUTE SELECT * FROM orders")[0][2] == "0, 1"
    world.call("ModifyTable", TableDDL="ALTER TABLE orders ADD note VARCHAR(20) NOT NULL DEFAULT 'new'")
    world.call("CreateIndex", IndexDDL="CREATE INDEX by_note ON orders (note, total)")
    assert world.sql("SELECT COUNT(*), SUM(total) FROM orders WHERE note = 'new'") == ((100, 4950),)
    info = world.call("DescribeTableInfo", TableName="orders")
    assert info["PartitionKey"] == "id" and info["TableRows"] == 100, info
    assert [index["IndexName"] for index in info["Indexes"]["Index"]] == ["PRIMARY", "by_note"]
    world.call("DeleteIndex", IndexDDL="DROP INDEX by_note ON orders")
    assert "by_note" not in world.shown("orders")
    world.call("TruncateTable", TableName="orders")
    assert world.sql("SELECT COUNT(*) FROM orders") == ((0,),)
    for table in ("orders", "named", "copies", "single"):
        world.call("DeleteTable", TableName=table)
    assert world.tables() == {}


def test_statements_that_reach_for_more_are_refused(world):
    world.call("CreateTable", TableDDL="CREATE TABLE kept (id INT PRIMARY KEY, name CHAR(9))", PartitionKey="id")
    for text in (
        "CREATE TABLE a (id INT PRIMARY KEY); DROP TABLE kept",
        "CREATE TABLE mysql.a (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE a AS SELECT * FROM mysql.global_priv",
        "CREATE TABLE a LIKE mysql.user",
        "CREATE TABLE a (id INT PRIMARY KEY) ENGINE=SPIDER DISTRIBUTE BY HASH(id)",
        "CREATE TABLE a (id INT PRIMARY KEY) DISTRIBUTE BY LIST(id)",
        "CREATE TABLE a (id INT PRIMARY KEY) DISTRIBUTE BY HASH(no_such)",
        "CREATE TABLE kept (id INT PRIMARY KEY) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE a (id INT",
    ):
        assert world.refused("CreateTable", TableDDL=text).code == "InvalidTableDDL.Malformed", text
    text = "CREATE TABLE a (id INT PRIMARY KEY)"
    for key in ("id, id", "`id`) ENGINE=SPIDER --", "no_such", " ", "x" * 65):
        refused = world.refused("CreateTable", TableDDL=text, PartitionKey=key)
        assert refused.code in ("InvalidTableDDL.Malformed", "InvalidPartitionKey.Malformed"), (key, refused)
    for clause in ("DISTRIBUTE BY HASH(other)", "DISTRIBUTE BY BROADCAST"):
        refused = world.refused("CreateTable", TableDDL=f"{text} {clause}", PartitionKey="id")
        assert refused.code == "InvalidPartitionKey.Malformed", refused
    # What distributes rows cannot go.
    refused = world.refused("ModifyTable", TableDDL="ALTER TABLE kept DROP COLUMN id")
    assert "OpenPeta" in str(refused), refused
    assert list(world.tables()) == ["kept"]
    world.call("DeleteTable", TableName="kept")


def test_what_is_cut_off_is_done_or_not_done(world):
    rows = 3000
    world.call("CreateTable", TableDDL="CREATE TABLE large (id INT PRIMARY KEY, text CHAR(200) NOT NULL DEFAULT '')", PartitionKey="id")
    world.sql("INSERT INTO large (id) VALUES " + ", ".join(f"({n})" for n in range(rows)))

    def attempt(action, parameters):
        try:
            world.call(action, **parameters)
        except Exception:  # noqa: BLE001 - the service is killed under it
            pass

    for number, after in enumerate((0.02, 0.05, 0.1, 0.2, 0.3)):
        parameters = {"TableDDL": f"ALTER TABLE large ADD column_{number} INT NOT NULL DEFAULT {number}, FORCE"}
        thread = threading.Thread(target=attempt, args=("ModifyTable", parameters))
        thread.start()
        # A delay, not a condition: the kill is to come at some time or other.
        time.sleep(after)
        world.service.kill()
        thread.join()
        world.service.start()
        api = world.service.api()
        poll(lambda: all(task.get("FinishTime") for task in api.tasks(world.id)), 60, lambda: api.tasks(world.id))

        def counted():
            try:
                return world.sql("SELECT COUNT(*), MIN(id), MAX(id) FROM large")
            except pymysql.err.MySQLError:
                return None

        poll(lambda: counted() == ((rows, 0, rows - 1),), 30, counted)
        # Both nodes agree: a read over nodes would fail where a column is missing on one.
        has = f"column_{number}" in world.shown("large")
        if has:
            assert world.sql(f"SELECT SUM(column_{number}) FROM large") == ((rows * number,),)
        else:
            world.call("ModifyTable", TableDDL=f"ALTER TABLE large ADD column_{number} INT NOT NULL DEFAULT {number}")
    assert set(world.tables()) == {"large"}
