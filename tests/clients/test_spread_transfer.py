"""Databases over several nodes are exported and imported with real programs: as of one moment while money is moved, into databases over
nodes and into plain ones, by mariadb-dump, mydumper's files and our own; what comes out is compared over all nodes."""

import gzip
import subprocess
import threading

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service
from test_disaster import PASSWORD
from test_import import DONE

ROWS = 3000
SCHEMA = [
    "CREATE TABLE item (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(60), body TEXT, price FLOAT) DISTRIBUTE BY HASH(id)",
    "CREATE TABLE device (name VARCHAR(40) NOT NULL PRIMARY KEY, n INT) DISTRIBUTE_KEY(name)",
    "CREATE TABLE currency (code CHAR(3) PRIMARY KEY, name VARCHAR(40)) DISTRIBUTE BY BROADCAST",
    "CREATE TABLE note (id INT PRIMARY KEY, t TEXT)",
    "CREATE VIEW dear AS SELECT id, name FROM item WHERE id > 7",
    "INSERT INTO item (id, name, body, price) VALUES " + ", ".join(f"({n}, '墨水; ''{n}', REPEAT(MD5({n}), 10), {n} / 7)" for n in range(1, ROWS)),
    "INSERT INTO device VALUES " + ", ".join(f"('d{n}', {n})" for n in range(200)),
    "INSERT INTO currency VALUES ('EUR', 'Euro'), ('CNY', '元')",
    "INSERT INTO note VALUES (1, 'it''s here')",
]  # fmt: skip
TABLES = ["item", "device", "currency", "note"]


class Transfer:
    """A service with a full database over two nodes, an empty one over two, and an empty plain one."""

    def __init__(self, service):
        self.service = service
        api = service.api()
        self.ids = [api.order(AccountPassword=PASSWORD, **more)["InstanceId"] for more in ({"NodeNumber": 2}, {"NodeNumber": 2}, {})]
        self.ends = [endpoint_of(api.wait_active(each, 120)) for each in self.ids]
        self.run(0, *SCHEMA)

    def connect(self, which):
        host, port = self.ends[which]
        return pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True, charset="utf8mb4")

    def run(self, which, *statements):
        with self.connect(which) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def content(self, which):
        queries = ["SELECT COUNT(*), SUM(id), SUM(CRC32(CONCAT(name, body))), SUM(CRC32(price)) FROM item", "SELECT COUNT(*), SUM(n) FROM device"]
        queries += ["SELECT * FROM currency ORDER BY code", "SELECT * FROM note", "SELECT COUNT(*), SUM(id) FROM dear"]
        return [self.run(which, query) for query in queries]

    def empty(self, which):
        self.run(which, "DROP VIEW IF EXISTS dear", *(f"DROP TABLE IF EXISTS {name}" for name in TABLES))

    def client(self, program, which, *words):
        host, port = self.ends[which]
        return [program, "--host", host, "--port", str(port), "--user", "alice", f"--password={PASSWORD}", *words]

    def export(self, name, *words):
        target = self.service.home / name
        place = ["--instance-id", self.ids[0], "--db-name", "shop"]
        task = self.service.admin("export", "start", *place, "--to", str(target), *words)["task_id"]
        shown = self.ended(task, "export")
        assert shown["status"] == DONE, shown
        assert {one["table"]: one["rows"] for one in shown["tables"]} == {"item": ROWS - 1, "device": 200, "currency": 2, "note": 1}
        return target

    def ended(self, task, kind="import"):
        poll(lambda: self.service.admin(kind, "show", task)["finish_at"], 180, lambda: str(self.service.admin(kind, "show", task)))
        return self.service.admin(kind, "show", task)

    def begin(self, source, which=1, *words):
        place = ["--instance-id", self.ids[which], "--db-name", "shop"]
        return self.service.admin("import", "start", *place, "--from", str(source), *words)["task_id"]

    def imported(self, source, which=1, *words):
        shown = self.ended(self.begin(source, which, *words))
        assert shown["status"] == DONE, shown
        assert self.content(which) == self.content(0)
        return shown

    def is_spread(self, which):
        """Each row is on the node of its partition, single tables are whole, and ids go on."""
        for table, ending in (("item", "DISTRIBUTE BY HASH(`id`)"), ("device", "DISTRIBUTE BY HASH(`name`)"), ("currency", "DISTRIBUTE BY BROADCAST")):
            ((_, shown),) = self.run(which, f"SHOW CREATE TABLE {table}")
            assert shown.endswith(ending), shown
        # Rows that are looked for on one node are there.
        for key in (1, 2, 3, 8, 17, 2048):
            assert self.run(which, f"SELECT name FROM item WHERE id = {key}") == ((f"墨水; '{key}",),)
        assert self.run(which, "SELECT n FROM device WHERE name = 'd77'") == ((77,),)
        with self.connect(which) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO item (name) VALUES ('next')")
            assert cursor.lastrowid >= ROWS
            cursor.execute(f"DELETE FROM item WHERE id = {cursor.lastrowid}")
        assert self.run(which, "SHOW DATABASES LIKE 'openpeta%'") == ()


@pytest.fixture(scope="module")
def transfer():
    service = Service({"backup": {"gives_way": False}})
    try:
        yield Transfer(service.start())
    finally:
        service.destroy()


@pytest.fixture(autouse=True)
def emptied(transfer):
    for which in (1, 2):
        transfer.empty(which)


def test_exports_are_imported_over_nodes_and_into_plain_databases(transfer):
    for name, words in (("sql", []), ("files", ["--layout", "mydumper"]), ("plain", ["--for-one-node", "--compress", "none"])):
        target = transfer.export(name, *words)
        shown = transfer.imported(target)
        assert {one["compared_with"] for one in shown["tables"]} == {"the checksum in the manifest"}
        if name != "plain":
            transfer.is_spread(1)
        transfer.empty(1)
        shown = transfer.imported(target, 2)
        assert ("how tables are distributed" in str(shown["notes"])) == (name != "plain"), shown
        transfer.empty(2)
    # Any server takes the one that does not say how tables are distributed, and the endpoint the one that does.
    load = ["--binary-mode", "--comments", "--max-allowed-packet=1G", "shop"]
    subprocess.run(transfer.client("mariadb", 2, *load), stdin=(transfer.service.home / "plain" / "dump.sql").open("rb"), check=True)
    assert transfer.content(2) == transfer.content(0)
    text = subprocess.run(["zstd", "-dc", transfer.service.home / "sql" / "dump.sql.zst"], capture_output=True, check=True).stdout
    subprocess.run(transfer.client("mariadb", 1, *load), input=text, check=True)
    assert transfer.content(1) == transfer.content(0)
    transfer.is_spread(1)


def test_a_stream_and_a_dump_of_mariadb_dump_are_imported(transfer):
    service = transfer.service
    command = [service.binary, "admin", "--data-dir", service.data_dir, "export", "stream", "--instance-id", transfer.ids[0], "--db-name", "shop"]
    stream = service.home / "stream.sql"
    with stream.open("wb") as file:
        subprocess.run(command, stdout=file, check=True)
    shown = transfer.imported(stream)
    assert {one["compared_with"] for one in shown["tables"]} == {"the checksum in the manifest"}
    transfer.is_spread(1)
    transfer.empty(1)
    dump = service.home / "dump.sql.gz"
    made = subprocess.run(transfer.client("mariadb-dump", 0, "--single-transaction", "--no-tablespaces", "shop"), capture_output=True, check=True)
    dump.write_bytes(gzip.compress(made.stdout, 1))
    # Somebody asks for the table all the time: it is not there, or it is there whole.
    over, seen = threading.Event(), set()

    def ask():
        with transfer.connect(1) as connection, connection.cursor() as cursor:
            while not over.is_set():
                try:
                    cursor.execute("SELECT COUNT(*) FROM item")
                    seen.add(cursor.fetchone()[0])
                except pymysql.err.MySQLError as error:
                    seen.add(error.args[0])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        # mariadb-dump writes a FLOAT with six digits.
        shown = transfer.ended(transfer.begin(dump))
        assert shown["status"] == DONE, shown
        poll(lambda: ROWS - 1 in seen, 30, lambda: str(seen))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert seen == {1146, ROWS - 1}, seen
    assert transfer.content(1)[1:] == transfer.content(0)[1:]
    transfer.is_spread(1)


def test_a_live_server_is_imported(transfer):
    host, port = transfer.ends[0]
    options = transfer.service.home / "source.cnf"
    options.touch(0o600)
    options.write_text(f"[client]\nuser = alice\npassword = {PASSWORD}\nskip-ssl\n")
    options.chmod(0o644)
    source = f"mysql://{host}:{port}/shop"
    shown = transfer.ended(transfer.begin(source, 1, "--defaults-file", str(options)))
    assert shown["status"] == DONE, shown
    assert transfer.content(1)[1:] == transfer.content(0)[1:]
    transfer.is_spread(1)


def test_an_import_that_is_killed_or_cancelled_leaves_nothing_half_done(transfer):
    service = transfer.service
    target = transfer.export("killed")
    for step in ("Distributing", "Comparing what was distributed", "Putting"):
        task = transfer.begin(target)
        poll(lambda: reached(service, task, step), 120, lambda: str(service.admin("import", "show", task)), interval=0.001)
        service.kill()
        service.start()
        transfer.ends = [endpoint_of(service.api().info(each)) for each in transfer.ids]
        shown = transfer.ended(task)
        assert shown["status"] == DONE, shown
        assert transfer.content(1) == transfer.content(0)
        transfer.is_spread(1)
        transfer.empty(1)
    task = transfer.begin(target)
    poll(lambda: reached(service, task, "Distributing"), 120, "it is not distributed", interval=0.001)
    subprocess.run([service.binary, "admin", "--data-dir", service.data_dir, "task", "cancel", task], check=False, capture_output=True)
    shown = transfer.ended(task)
    if shown["status"] != DONE:
        assert transfer.run(1, "SHOW TABLES") == ()
    transfer.empty(1)
    transfer.imported(target)


def reached(service, task, step):
    """Whether the task is at a step, or past it."""
    shown = service.admin("import", "show", task)
    return step in f"{shown['current_step']} {shown['message']}" or shown["finish_at"]
