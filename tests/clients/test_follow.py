"""docs/import-export.md, following a live server: a real server that is written to all the time is taken over, while the service is killed; every row that
the server has acknowledged is there, and nothing else."""

import pathlib
import random
import threading

import pymysql
import pytest

import sides
from harness.api import endpoint_of, poll
from harness.service import Service
from test_disaster import refusal

PASSWORD = "Passw0rd!"
# As DescribeTasks tells it.
DONE = "2"
SOURCE = """
[mariadbd]
{user}
datadir={work}/data
socket={work}/node.sock
pid-file={work}/node.pid
log-error={work}/error.log
tmpdir={work}/tmp
port={port}
bind-address=127.0.0.1
log-bin=logs
binlog-format=ROW
server-id=77
max-binlog-size=1M
innodb-buffer-pool-size=32M
"""
SCHEMA = """
CREATE DATABASE shop; CREATE DATABASE other; CREATE TABLE other.t (a INT);
CREATE USER alice@localhost; GRANT ALL ON shop.* TO alice@localhost;
CREATE USER mover@'127.0.0.1' IDENTIFIED BY 's0urce_Secret';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON shop.* TO mover@'127.0.0.1';
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO mover@'127.0.0.1';
USE shop;
CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, v INT, body TEXT);
CREATE TABLE keyless (note VARCHAR(40), v DOUBLE);
CREATE TABLE part (id INT PRIMARY KEY, item INT, FOREIGN KEY (item) REFERENCES item (id) ON DELETE CASCADE);
INSERT INTO item (v, body) SELECT seq, REPEAT(MD5(seq), 5) FROM seq_1_to_3000;
INSERT INTO part SELECT seq, seq FROM seq_1_to_1000;
CREATE DEFINER=alice@localhost VIEW dear AS SELECT id FROM item WHERE v > 7;
"""


class Writer:
    """A client of the source that writes until it is told to stop."""

    def __init__(self, port, seed):
        self.random, self.stopped, self.commits = random.Random(seed), threading.Event(), 0
        self.connection = pymysql.connect(host="127.0.0.1", port=port, user="root", database="shop", autocommit=False)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        choose = self.random.randrange
        with self.connection, self.connection.cursor() as cursor:
            while not self.stopped.wait(0.02):
                for _ in range(choose(1, 6)):
                    statement = (
                        f"INSERT INTO item (v, body) VALUES ({choose(99)}, REPEAT('x', {choose(900)}))",
                        f"UPDATE item SET v = v + 1 WHERE id % 97 = {choose(97)}",
                        f"DELETE FROM item WHERE id = {choose(3000)}",
                        f"INSERT INTO keyless VALUES ('{choose(9)}', RAND())",
                        f"DELETE FROM keyless WHERE note = '{choose(9)}' LIMIT 2",
                        f"INSERT INTO other.t VALUES ({choose(9)})",
                    )[choose(6)]
                    cursor.execute(statement)
                if choose(8):
                    self.connection.commit()
                    self.commits += 1
                else:
                    self.connection.rollback()

    def stop(self):
        self.stopped.set()
        self.thread.join()


@pytest.fixture(scope="module")
def source():
    with sides.workplace() as place, sides.Node(pathlib.Path(place) / "source", None, SOURCE) as node:
        node.root("GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;" + SCHEMA)
        yield node


class World:
    def __init__(self, source):
        self.source, self.service = source, Service().start()
        self.api = self.service.api()
        self.id = self.api.order(AccountPassword=PASSWORD)["InstanceId"]
        self.end = endpoint_of(self.api.wait_active(self.id, 120))
        self.options = self.service.home / "source.cnf"
        self.options.write_text("[client]\nuser=mover\npassword=s0urce_Secret\n")

    def place(self):
        place = ["--instance-id", self.id, "--db-name", "shop", "--from", f"mysql://127.0.0.1:{self.source.port}/shop"]
        options = ["--defaults-file", str(self.options), "--keep-definers", "--follow"]
        return [*place, *options]

    def begin(self):
        return self.service.admin("import", "start", *self.place())["task_id"]

    def show(self, task):
        return self.service.admin("import", "show", task)

    def says(self, task, word):
        poll(lambda: word in (self.show(task)["message"] or ""), 120, lambda: str(self.show(task)))

    def ended(self, task):
        poll(lambda: self.show(task)["finish_at"], 120, lambda: str(self.show(task)))
        return self.show(task)

    def content(self, host, port, user, password):
        with pymysql.connect(host=host, port=port, user=user, password=password, database="shop") as connection, connection.cursor() as cursor:
            cursor.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")
            tables = sorted(row[0] for row in cursor.fetchall())
            found = {}
            for table in tables:
                cursor.execute(f"CHECKSUM TABLE {table} EXTENDED")
                found[table] = cursor.fetchone()[1]
            return found

    def here(self):
        return self.content(*self.end, "alice", PASSWORD)

    def there(self):
        return self.content("127.0.0.1", self.source.port, "root", "")


@pytest.fixture(scope="module")
def world(source):
    world = World(source)
    yield world
    world.service.destroy()


def test_a_server_that_is_written_to_is_taken_over(world):
    writer = Writer(world.source.port, 7)
    try:
        # Cancelled, it leaves nothing.
        task = world.begin()
        world.says(task, "level")
        world.service.admin("task", "cancel", task)
        assert world.ended(task)["status"] != DONE
        assert world.here() == {}

        task = world.begin()
        world.says(task, "source")
        world.service.kill()
        world.service.start()
        world.says(task, "level")
        # As long as it is written to, it keeps its place.
        world.service.admin("import", "cut-over", task)
        poll(lambda: world.show(task).get("cut_over_refused"), 60, lambda: str(world.show(task)))
        assert "still written to" in world.show(task)["cut_over_refused"]
        before = writer.commits
        poll(lambda: writer.commits > before + 50, 60, "it is not written to")
    finally:
        writer.stop()
    world.service.admin("import", "cut-over", task)
    shown = world.ended(task)
    assert shown["status"] == DONE, shown
    assert {one["compared_with"] for one in shown["tables"]} == {"the checksum of the source"}
    assert shown["views"] == 1
    there = world.there()
    assert sorted(there) == ["item", "keyless", "part"] and world.here() == there
    with pymysql.connect(host=world.end[0], port=world.end[1], user="alice", password=PASSWORD) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'openpeta%'")
        assert cursor.fetchone() == (0,)
        cursor.execute("DROP VIEW shop.dear")
        cursor.execute("DROP TABLE shop.part, shop.item, shop.keyless")
    assert "s0urce_Secret" not in world.service.log() and "s0urce_Secret" not in str(shown)


def test_what_cannot_be_followed_is_told(world):
    def refused():
        return refusal(world.service, "import", "start", *world.place())

    world.source.root("CREATE TABLE shop.loose (a INT) ENGINE=MyISAM")
    assert "InnoDB" in refused()
    world.source.root("DROP TABLE shop.loose; SET GLOBAL binlog_format = MIXED")
    assert "ROW" in refused()
    world.source.root("SET GLOBAL binlog_format = ROW")
    # A definition that changes meanwhile ends it, and nothing is left.
    task = world.begin()
    world.says(task, "level")
    world.source.root("ALTER TABLE shop.item ADD w INT")
    shown = world.ended(task)
    assert shown["status"] != DONE and "ALTER TABLE" in shown["message"], shown
    assert world.here() == {}
