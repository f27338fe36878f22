"""Tools and frameworks: each runs against a node and through a gateway in front of another one, made alike. What it says, and
what it leaves in the database, must be the same. The programs lie in tools/."""

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import sides
from harness import hibernate, prisma

TOOLS = pathlib.Path(__file__).parent / "tools"
# As nodes of the service are configured, but for what differs between two of them.
OPTIONS = """
[mariadbd]
{user}
datadir={work}/data
socket={work}/node.sock
pid-file={work}/node.pid
log-error={work}/error.log
tmpdir={work}/tmp
port={port}
bind-address=127.0.0.1
skip_name_resolve
proxy_protocol_networks=localhost
character_set_server=utf8mb4
collation_server=utf8mb4_general_ci
default_time_zone=+00:00
server_id=1
log_bin=binlog
binlog_format=ROW
binlog_row_metadata=FULL
binlog_row_image=FULL
log_bin_trust_function_creators=1
local_infile=1
max_allowed_packet=64M
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=0
"""


@dataclasses.dataclass
class Side:
    """A way to a node: directly or through a gateway."""

    name: str
    port: int
    work: pathlib.Path
    user: str = "root"
    password: str = sides.PASSWORD

    def environment(self, database):
        """What programs are told, with everything that the environment says of MySQL taken out."""
        told = {"HOST": "127.0.0.1", "PORT": str(self.port), "USER": self.user, "PASSWORD": self.password, "DATABASE": database}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MYSQL")}
        return {**kept, "HOME": str(self.work), "TZ": "UTC", "LC_ALL": "C.UTF-8", **{f"TOOL_{name}": value for name, value in told.items()}}

    def run(self, command, database, **keywords):
        """What a program says, by itself and of errors; it must succeed."""
        done = subprocess.run(
            list(map(str, command)), env=self.environment(database), capture_output=True, text=True, errors="backslashreplace", timeout=120,
            check=False, **keywords,
        )  # fmt: skip
        assert done.returncode == 0, f"{self.name}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def options(self):
        """How MariaDB's own programs are told where."""
        return ["--no-defaults", "--host=127.0.0.1", f"--port={self.port}", f"--user={self.user}", f"--password={self.password}"]

    def sql(self, statements, database=""):
        """The answers of the command line client."""
        return self.run(["mariadb", *self.options(), "--table", database or "mysql"], database, input=statements)

    def dump(self, database):
        """All that is in a database."""
        command = ["mariadb-dump", *self.options(), "--skip-comments", "--single-transaction", "--routines", "--triggers", "--events", "--hex-blob", database]
        return self.run(command, database)


@pytest.fixture(scope="module")
def both():
    """The direct side and the gateway's."""
    with sides.workplace() as place:
        place = pathlib.Path(place)
        template = place / "template"
        with sides.Node(template, None, OPTIONS) as node:
            node.root(sides.PREPARATION)
        program = sides.ROOT / "target/debug/examples/relay_one"
        one = sides.Node(place / "direct", template, OPTIONS)
        two = sides.Node(place / "gateway", template, OPTIONS)
        with one, two, sides.Gateway(program, two.work, warm=32) as gateway:
            yield Side("direct", one.port, one.work), Side("gateway", gateway.port, two.work)


@pytest.fixture
def same(both, request):
    """Runs something on both sides at once, in a new database, and compares."""
    database = re.sub(r"\W", "_", request.node.name)[:60]
    for side in both:
        side.sql(f"CREATE DATABASE {database}")

    def compare(work):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            direct, gateway = pool.map(lambda side: work(side, database), both)
        assert direct, "nothing to compare"
        assert [*flat(gateway)] == [*flat(direct)]
        return gateway

    yield compare
    for side in both:
        side.sql(f"DROP DATABASE {database}")


def flat(what):
    """Line by line, which makes differences short."""
    for each in [what] if isinstance(what, str) else what:
        yield from each.splitlines() if isinstance(each, str) else [each]


# What is in a database that tools take from one place to another.
CONTENT = """
CREATE TABLE item (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(60) CHARACTER SET utf8mb4 UNIQUE, price DECIMAL(9,2) DEFAULT 1.5,
  data BLOB, at TIMESTAMP(6) NULL, twice DECIMAL(12,2) AS (price * 2) STORED, kind ENUM('a','b') DEFAULT 'b', KEY (price));
CREATE TABLE part (item INT NOT NULL, n INT, PRIMARY KEY (item, n), FOREIGN KEY (item) REFERENCES item (id));
CREATE TABLE plain (a INT PRIMARY KEY, b TEXT, c JSON, d GEOMETRY) ENGINE=Aria;
INSERT INTO item (name, data, at) SELECT CONCAT('墨水 ', seq), UNHEX(SHA2(seq, 512)), '2026-01-02 03:04:05.678901' FROM seq_1_to_20000;
INSERT INTO part SELECT seq, n FROM seq_1_to_2000 JOIN (SELECT 1 n UNION SELECT 2) AS ns;
INSERT INTO plain SELECT seq, REPEAT('\\'"\\\\;\\n', seq), JSON_ARRAY(seq), POINT(seq, 1) FROM seq_1_to_100;
CREATE VIEW dear AS SELECT id, name FROM item WHERE price > 1;
CREATE TRIGGER stamped BEFORE INSERT ON item FOR EACH ROW SET NEW.at = COALESCE(NEW.at, '2000-01-01');
DELIMITER //
CREATE PROCEDURE most(n INT) BEGIN SELECT MAX(id) - n FROM item; END//
CREATE FUNCTION half(n INT) RETURNS INT DETERMINISTIC RETURN n / 2//
DELIMITER ;
CREATE EVENT later ON SCHEDULE EVERY 1 YEAR STARTS '2035-01-01' DO DELETE FROM plain;
"""


def test_dump_and_reload(same):
    def work(side, database):
        side.sql(CONTENT, database)
        dump = side.dump(database)
        side.sql(f"CREATE DATABASE {database}_2")
        side.sql(dump, f"{database}_2")
        assert side.dump(f"{database}_2") == dump
        side.sql(f"DROP DATABASE {database}_2")
        options = [*side.options(), "--skip-comments"]
        xml = side.run(["mariadb-dump", *options, "--xml", "--no-create-info", "--skip-triggers", "--where=id < 100", database, "item"], database)
        # Over a lock of all tables, with where the binary log stands.
        locked = side.run(["mariadb-dump", *options, "--master-data=2", "--flush-logs", "--lock-all-tables", "--no-data", "--databases", database], database)
        return dump, re.sub(r"MASTER_LOG_FILE.*", "", locked), xml

    same(work)


def test_import(same, tmp_path):
    lines = "".join(f"{n},\"name {n}, 墨水\",{n / 4}\n" for n in range(20_000))
    (tmp_path / "item.csv").write_text(lines)
    (tmp_path / "part.csv").write_text(lines)

    def work(side, database):
        for table in ("item", "part"):
            side.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(60), price DECIMAL(9,2))", database)
        command = [
            "mariadb-import", *side.options(), "--local", "--use-threads=2", "--fields-terminated-by=,", "--fields-optionally-enclosed-by=\"",
            "--ignore-lines=1", "--verbose", database, tmp_path / "item.csv", tmp_path / "part.csv",
        ]  # fmt: skip
        # Two threads say it in any order.
        return sorted(side.run(command, database).splitlines()), side.sql("CHECKSUM TABLE item, part", database)

    same(work)


def test_mydumper(same, tmp_path):
    def work(side, database):
        side.sql(CONTENT, database)
        where = ["--host", "127.0.0.1", "--port", side.port, "--user", side.user, "--password", side.password]
        files = tmp_path / side.name
        command = ["mydumper", *where, "--database", database, "--outputdir", files, "--threads", "4", "--rows", "5000", "--triggers", "--routines", "--events"]
        side.run(command, database)
        side.sql(f"CREATE DATABASE {database}_2")
        side.run(["myloader", *where, "--database", f"{database}_2", "--directory", files, "--threads", "4"], database)
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name; CHECKSUM TABLE item, part, plain; SHOW CREATE TABLE item;"
        before, after = (side.sql(tables, name).replace(name, "") for name in (database, f"{database}_2"))
        width = re.compile(r"[-+| ]+")
        assert width.sub(" ", before) == width.sub(" ", after)
        side.sql(f"DROP DATABASE {database}_2")
        # Chunks of a table are cut by what the optimizer guesses of it.
        return sorted({re.sub(r"\.\d{5}(?=\.sql)", "", file.name) for file in files.iterdir()}), before

    same(work)


def test_percona_toolkit(same):
    """Checksums of tables; an online change of one, with its triggers; archiving; keys that are there twice."""

    def work(side, database):
        side.sql(CONTENT + "DROP TRIGGER stamped; ALTER TABLE item ADD KEY again (price); DROP TABLE part;", database)
        dsn = f"h=127.0.0.1,P={side.port},u={side.user},p={side.password}"
        here = f"{dsn},D={database}"
        said = []
        side.sql(f"DROP DATABASE IF EXISTS percona_{side.name}")
        checksum = ["pt-table-checksum", dsn, "--databases", database, "--recursion-method=none", "--no-check-binlog-format", "--chunk-time=0", "--chunk-size=5000", "--replicate", f"percona_{side.name}.checksums"]
        said.append(side.run(checksum, database))
        said.append(side.sql(f"SELECT tbl, SUM(this_cnt) FROM percona_{side.name}.checksums GROUP BY tbl"))
        side.sql(f"DROP DATABASE percona_{side.name}")
        change = ["pt-online-schema-change", f"{here},t=item", "--alter", "ADD COLUMN more INT DEFAULT 7", "--execute", "--recursion-method=none", "--chunk-size=2000"]
        said.append(side.run(change, database))
        archive = ["pt-archiver", "--source", f"{here},t=item", "--purge", "--where", "id <= 5000", "--limit", "1000", "--commit-each", "--statistics", "--no-check-charset"]
        said.append(re.findall(r"(?:SELECT|INSERT|DELETE) \d+", side.run(archive, database)))
        said.append(side.run(["pt-duplicate-key-checker", "--databases", database, dsn], database))
        said.append(side.sql("SHOW CREATE TABLE item; CHECKSUM TABLE item, plain", database))
        moment = re.compile(r"(?:\d{4}-)?\d\d-\d\dT[\d:]+ | \d+\.\d{3} (?=test_)|approximately \d+ rows|# Size Duplicate Indexes +\d+")
        return [moment.sub("", each) if isinstance(each, str) else each for each in said]

    same(work)


def test_mycli(same):
    def work(side, database):
        side.sql(CONTENT, database)
        command = [
            pathlib.Path(sys.executable).parent / "mycli", "--host", "127.0.0.1", "--port", side.port, "--user", side.user, f"--password={side.password}",
            "--database", database, "--no-warn", "--csv",
        ]  # fmt: skip
        statements = "SELECT id, name, price FROM item LIMIT 3;\nSHOW TABLES;\nSELECT DATABASE();\nDESCRIBE item;\nCALL most(3);\n"
        return side.run(command, database, input=statements)

    found = same(work)
    assert "墨水 3" in found and "dear" in found


@pytest.mark.parametrize("name", ["sqlalchemy_orm.py", "django_orm.py", "php_drivers.php", "perl_dbd.pl", "sequelize.mjs"])
def test_program(same, name):
    runner = {".py": sys.executable, ".php": "php", ".pl": "perl", ".mjs": "node"}[pathlib.Path(name).suffix]
    found = same(lambda side, database: side.run([runner, TOOLS / name], database))
    assert len(found.splitlines()) > 10, found


def test_gorm(same, tmp_path):
    program = tmp_path / "gorm"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    subprocess.run([go, "build", "-o", program, TOOLS / "gorm.go"], env=environment, timeout=120, check=True)
    found = same(lambda side, database: side.run([program], database))
    assert "context deadline exceeded" in found


def test_jdbc(same, tmp_path):
    subprocess.run(["javac", "-d", tmp_path, TOOLS / "Jdbc.java"], timeout=120, check=True)
    path = f"{tmp_path}:/usr/share/java/mariadb-java-client.jar"
    found = same(lambda side, database: side.run(["java", "-Dfile.encoding=UTF-8", "-cp", path, "Jdbc"], database))
    # Cancelled, once with each set of options.
    assert found.count("[1317, 70100]") == 4, found[-3000:]


@pytest.fixture(scope="module")
def heavy_packages():
    subprocess.run([sides.ROOT / "scripts/install-packages.sh", "--heavy-tests"], timeout=600, check=True)


@pytest.mark.heavy
@pytest.mark.usefixtures("heavy_packages")
def test_phpmyadmin(same):
    found = same(lambda side, database: side.run([sys.executable, TOOLS / "phpmyadmin.py"], database))
    assert "3 rows affected" in found and "Table 'test_phpmyadmin.nothing' doesn't exist" in found, found[-3000:]


@pytest.mark.heavy
@pytest.mark.usefixtures("heavy_packages")
def test_hibernate(same, tmp_path):
    command = hibernate.command("Hibernate", tmp_path)
    found = same(lambda side, database: side.run(command, database))
    assert "ConstraintViolationException" in found


@pytest.mark.heavy
def test_prisma(same):
    folder = prisma.generate("schema.prisma")
    found = same(lambda side, database: side.run(["node", folder / "workload.mjs"], database))
    assert "P2002" in found
