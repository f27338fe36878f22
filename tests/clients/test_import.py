"""docs/import-export.md with real programs: what mariadb-dump and mydumper make of one instance is loaded into another one, from
files and over HTTP, while clients go on and while the service and the node are killed; what comes out is compared."""

import functools
import gzip
import http.server
import os
import pathlib
import subprocess
import threading

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service, end

PASSWORD = "Passw0rd!"
# As DescribeTasks tells it.
DONE = "2"
ROWS = int(os.environ.get("IMPORT_ROWS", "40000"))
SCHEMA = [
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(60) CHARACTER SET utf8mb4, body TEXT, at TIMESTAMP(6) NULL)",
    "CREATE TABLE log (note TEXT)",
    "CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN 2 * x",
    "CREATE VIEW dear AS SELECT id, name FROM item WHERE id > 7",
    "INSERT INTO item SELECT seq, CONCAT('墨水; ''', seq), REPEAT(MD5(seq), 10), '2026-01-02 03:04:05.678901' "
    f"FROM seq_1_to_{ROWS}",
    "CREATE TRIGGER noted AFTER INSERT ON item FOR EACH ROW BEGIN INSERT INTO log VALUES (NEW.name); SET @a = 1; END",
]


class World:
    """A service with an instance that is full and one that is empty."""

    def __init__(self, service):
        self.service, self.api = service, service.api()
        self.ids = [self.api.order(AccountPassword=PASSWORD)["InstanceId"] for _ in range(2)]
        self.ends = [endpoint_of(self.api.wait_active(id, 120)) for id in self.ids]
        self.run(0, *SCHEMA)
        self.expected = self.content(0)
        self.dump = service.home / "dump.sql.gz"
        self.dump.write_bytes(gzip.compress(self.client("mariadb-dump", "--routines", "--single-transaction", "shop"), 1))

    def connect(self, which):
        host, port = self.ends[which]
        return pymysql.connect(
            host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True, charset="utf8mb4"
        )

    def run(self, which, *statements):
        with self.connect(which) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def content(self, which):
        """Rows and checksum of each table, what views and functions give, and triggers."""
        found = {}
        with self.connect(which) as connection, connection.cursor() as cursor:
            for table in ("item", "log"):
                cursor.execute(f"CHECKSUM TABLE {table} EXTENDED")
                found[table] = cursor.fetchone()[1]
            for query in (
                "SELECT COUNT(*), SUM(id), twice(21) FROM dear",
                "SELECT TRIGGER_NAME, DEFINER, ACTION_STATEMENT FROM information_schema.TRIGGERS",
                "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'openpeta%'",
            ):
                cursor.execute(query)
                found[query] = cursor.fetchall()
        return found

    def tables(self, which):
        with self.connect(which) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            return sorted(name for (name,) in cursor.fetchall())

    def empty(self, which):
        self.run(which, "DROP VIEW dear", "DROP TABLE item, log", "DROP FUNCTION twice")

    def client(self, program, *words):
        host, port = self.ends[0]
        command = [program, "--host", host, "--port", str(port), "--user", "alice", f"--password={PASSWORD}", *words]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def begin(self, source, *words):
        place = ["--instance-id", self.ids[1], "--db-name", "shop"]
        return self.service.admin("import", "start", *place, "--from", str(source), *words)["task_id"]

    def show(self, task, kind="import"):
        return self.service.admin(kind, "show", task)

    def ended(self, task, kind="import"):
        poll(lambda: self.show(task, kind)["finish_at"], 180, lambda: str(self.show(task, kind)))
        return self.show(task, kind)

    def imported(self, task):
        """The task of an import has succeeded, and both instances have the same."""
        shown = self.ended(task)
        assert shown["status"] == DONE, shown
        assert {one["table"]: one["rows"] for one in shown["tables"]} == {"item": ROWS, "log": 0}
        assert self.content(1) == self.expected
        return shown


@pytest.fixture(scope="module")
def world():
    service = Service()
    try:
        yield World(service.start())
    finally:
        service.destroy()


def loading(world, task):
    """Waits until a part of the dump is being loaded."""
    poll(lambda: (world.show(task)["message"] or "").startswith("Loading"), 60, lambda: str(world.show(task)))


def test_a_dump_is_imported_and_exported(world):
    shown = world.imported(world.begin(world.dump))
    assert shown["triggers"] == 1 and shown["views"] == 1 and shown["routines"] == 1
    # What is full is not imported into.
    refused = world.ended(world.begin(world.dump))
    assert refused["status"] != DONE and "not empty" in refused["message"], refused
    assert world.content(1) == world.expected

    target = world.service.home / "export"
    place = ["--instance-id", world.ids[1], "--db-name", "shop"]
    task = world.service.admin("export", "start", *place, "--to", str(target))["task_id"]
    exported = world.ended(task, "export")
    assert exported["status"] == DONE, exported
    sums = {one["table"]: one["checksum"] for one in exported["tables"]}
    assert sums == {one["table"]: one["checksum"] for one in shown["tables"]}
    world.empty(1)
    again = world.imported(world.begin(target))
    assert {one["compared_with"] for one in again["tables"]} == {"the checksum in the manifest"}
    world.empty(1)


def test_a_url_is_imported_and_one_that_breaks_off_is_not(world):
    whole = world.dump.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            place = self.path.split("?")[0]
            if place == "/elsewhere":
                self.send_response(302)
                self.send_header("Location", "/dump.sql.gz")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole if place == "/dump.sql.gz" else whole[: len(whole) // 2])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        world.imported(world.begin(f"{base}/dump.sql.gz?signature=s3cret"))
        assert "s3cret" not in world.service.log()
        assert "s3cret" not in str(world.service.admin("audit", "list"))
        world.empty(1)
        for place, expected in (("broken.gz", "cut off"), ("elsewhere", "302")):
            shown = world.ended(world.begin(f"{base}/{place}"))
            assert shown["status"] != DONE and expected in shown["message"], shown
            assert world.tables(1) == []
        server.shutdown()


def test_a_live_server_is_imported(world):
    options = world.service.home / "client.cnf"
    options.write_text(f"[client]\nuser=alice\npassword={PASSWORD}\n")
    host, port = world.ends[0]
    live = ["--defaults-file", str(options)]
    world.imported(world.begin(f"mysql://{host}:{port}/shop", *live))
    world.empty(1)
    options.write_text("[client]\nuser=alice\npassword=wr0ng_Secret\n")
    shown = world.ended(world.begin(f"mysql://{host}:{port}/shop", *live))
    assert shown["status"] != DONE and "Access denied" in shown["message"], shown
    assert world.tables(1) == []
    for secret in (PASSWORD, "wr0ng_Secret"):
        assert secret not in world.service.log() and secret not in str(shown)


class Stalling(http.server.ThreadingHTTPServer):
    """Serves the dump, but no more than half of it as long as the gate is shut."""

    daemon_threads = True

    def __init__(self, dump):
        super().__init__(("127.0.0.1", 0), StallingHandler)
        self.dump, self.gate = dump, threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_port}/dump.sql.gz"


class StallingHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        dump, half = self.server.dump, len(self.server.dump) // 2
        self.send_response(200)
        self.send_header("Content-Length", str(len(dump)))
        self.end_headers()
        try:
            self.wfile.write(dump[:half])
            self.wfile.flush()
            self.server.gate.wait(120)
            self.wfile.write(dump[half:])
        except OSError:
            # Whoever asked is gone.
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def stalling(world):
    with Stalling(world.dump.read_bytes()) as server:
        yield server
        server.gate.set()
        server.shutdown()


def test_an_import_that_is_killed_goes_on_and_one_that_is_cancelled_leaves_nothing(world, stalling):
    task = world.begin(stalling.url())
    loading(world, task)
    assert world.tables(1) == []
    world.service.admin("task", "cancel", task)
    assert world.ended(task)["status"] != DONE
    assert world.tables(1) == []

    task = world.begin(stalling.url())
    loading(world, task)
    world.service.kill()
    stalling.gate.set()
    world.service.start()
    world.imported(task)
    world.empty(1)

    stalling.gate.clear()
    task = world.begin(stalling.url())
    loading(world, task)
    for pid in world.service.node_pids():
        end(pid)
    stalling.gate.set()
    shown = world.ended(task)
    assert shown["status"] == DONE, shown
    poll(functools.partial(reachable, world), 60, "the node does not come back")
    assert world.content(1) == world.expected
    world.empty(1)


def reachable(world):
    try:
        return world.tables(0) and world.tables(1)
    except pymysql.err.OperationalError:
        return False


def test_mydumper(world, tmp_path):
    # The service reads it, which need not be the user who runs the tests.
    out = pathlib.Path(tmp_path) / "out"
    world.client("mydumper", "--database", "shop", "--outputdir", str(out), "--rows", "9000", "--triggers", "--routines", "--no-locks")
    world.imported(world.begin(out))
