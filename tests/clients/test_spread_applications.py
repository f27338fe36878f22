"""Applications whose tables are distributed over two nodes. Each runs over a database with one node as well, and says the
same there: but for how its tables are distributed it knows nothing of nodes. The programs lie in tools/."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

import pytest

from harness import hibernate, prisma
from harness.api import endpoint_of
from harness.service import Service

PASSWORD = "Passw0rd!"
TOOLS = pathlib.Path(__file__).parent / "tools"


class Side:
    """An instance, as programs are told of it."""

    def __init__(self, api, **order):
        self.nodes = order.get("NodeNumber", 1)
        self.id = api.order(AccountPassword=PASSWORD, **order)["InstanceId"]
        self.host, self.port = endpoint_of(api.wait_active(self.id))

    def run(self, *command, **more):
        """What a program says; it must succeed."""
        told = {"HOST": self.host, "PORT": self.port, "USER": "alice", "PASSWORD": PASSWORD, "DATABASE": "shop", "SPREAD": int(self.nodes > 1), **more}
        environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8", **{f"TOOL_{name}": str(value) for name, value in told.items()}}
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{self.nodes} nodes: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def sql(self, statements):
        """The answers of the command line client."""
        client = ["mariadb", "--no-defaults", f"-h{self.host}", f"-P{self.port}", "-ualice", f"-p{PASSWORD}", "shop"]
        done = subprocess.run(client, input=statements, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def sides():
    with Service() as service:
        api = service.api()
        yield Side(api, NodeNumber=2), Side(api)


@pytest.fixture(autouse=True)
def emptied(sides):
    """Each begins with nothing in the database."""
    yield
    for side in sides:
        names = side.sql("SHOW TABLES").split()[1:]
        side.sql("SET foreign_key_checks = 0;" + "".join(f"DROP TABLE `{name}`;" for name in names))


def same(sides, *command):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        spread, plain = pool.map(lambda side: side.run(*command), sides)
    assert spread.splitlines() == plain.splitlines()
    return spread


def test_django(sides):
    found = same(sides, sys.executable, TOOLS / "django_distributed.py")
    assert "upserted" in found and len(found.splitlines()) == 25, found


def test_sqlalchemy(sides):
    found = same(sides, sys.executable, TOOLS / "sqlalchemy_distributed.py")
    assert "author 59" in found and "author seven" in found, found


def test_sequelize(sides):
    found = same(sides, "node", TOOLS / "sequelize_distributed.mjs")
    assert found.count("SequelizeUniqueConstraintError") == 2, found


def test_tpcc(sides):
    found = same(sides, sys.executable, TOOLS / "tpcc_distributed.py")
    assert "'money': 1" in found and "'delivered': 1" in found, found


def test_wordpress(sides, tmp_path):
    """Its installer, its posts, comments, users and searches, a plugin, its REST interface, and an upgrade of older tables."""
    run = ["php", "-d", "display_errors=stderr", TOOLS / "wordpress.php"]
    found = {mode: same(sides, *run, mode, tmp_path) for mode in ("install", "work", "upgrade")}
    assert not any("OpenPeta" in told for told in found.values())
    # What it tries before there is such a table.
    failed = [line for line in found["work"].splitlines() if line.startswith('["failed"')]
    assert len(failed) == 1 and "DESCRIBE wp_visits" in failed[0], failed
    assert "titel-2-2" in found["work"] and "comment_author_email" in found["upgrade"], found
    route = sides[0].sql("EXPLAIN ROUTE SELECT COUNT(*) FROM wp_posts")
    assert "0, 1" in route, route


def test_hibernate(sides, tmp_path):
    found = same(sides, *hibernate.command("HibernateDistributed", tmp_path))
    assert "StaleObjectStateException" in found and "ConstraintViolationException" in found, found


@pytest.mark.heavy
def test_prisma(sides):
    found = same(sides, "node", prisma.generate("distributed.prisma") / "distributed.mjs")
    assert "P2002" in found and "P2025" in found, found


def test_sysbench(sides):
    """Its rows are of a fixed seed; afterwards each table has as many as before, each once."""
    spread, _ = sides

    def sysbench(action, *options):
        command = [
            "sysbench", TOOLS / "sysbench_distributed.lua", f"--mysql-host={spread.host}", f"--mysql-port={spread.port}", "--mysql-user=alice",
            f"--mysql-password={PASSWORD}", "--mysql-db=shop", "--db-driver=mysql", "--tables=2", "--table-size=500", "--threads=4", *options, action,
        ]  # fmt: skip
        return spread.run(*command, CLAUSE="DISTRIBUTE BY HASH(id)")

    sysbench("prepare")
    assert "0, 1" in spread.sql("EXPLAIN ROUTE SELECT COUNT(*) FROM sbtest1"), "it is on both nodes"
    # Each update of an index adds one to a k.
    before = spread.sql("SELECT SUM(k) FROM sbtest1; SELECT SUM(k) FROM sbtest2").split()
    for options in (["--db-ps-mode=auto"], ["--db-ps-mode=disable"]):
        # Neither deletes nor inserts, which put another k in a row's place.
        updates = ["--index_updates=3", "--non_index_updates=1", "--delete_inserts=0", "--events=40", "--time=0"]
        said = sysbench("run", *updates, *options)
        assert re.search(r"transactions:\s+40 ", said), said
    after = spread.sql("SELECT SUM(k) FROM sbtest1; SELECT SUM(k) FROM sbtest2").split()
    grown = sum(int(after[at]) - int(before[at]) for at in (1, 3))
    assert grown == 2 * 40 * 3, (before, after)
    for options in (["--db-ps-mode=auto"], ["--db-ps-mode=disable"]):
        said = sysbench("run", "--events=60", "--time=0", *options)
        assert re.search(r"transactions:\s+60 ", said), said
        told = spread.sql("SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id) FROM sbtest1; SELECT COUNT(*) FROM sbtest2")
        assert told.split() == ["COUNT(*)", "COUNT(DISTINCT", "id)", "MIN(id)", "MAX(id)", "500", "500", "1", "500", "COUNT(*)", "500"], told
