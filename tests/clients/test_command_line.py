"""MariaDB's command-line programs through the gateway."""

import os
import signal
import subprocess
import time

import pytest

from harness.api import poll


@pytest.fixture
def run(instance):
    """Runs a program of MariaDB's, logged in to the instance; the answer with its outputs."""

    def run(program, *arguments, stdin=None, password=None, check=True):
        done = subprocess.run(
            command(instance, program, *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(password or instance.password),
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    return run


def command(instance, program, *arguments):
    """Options from the command line only: nobody's option file takes part."""
    return [
        program, "--no-defaults", f"--host={instance.host}", f"--port={instance.port}", "--protocol=tcp",
        f"--user={instance.user}", *arguments,
    ]  # fmt: skip


def environment(password):
    return {**os.environ, "MYSQL_PWD": password}


def test_execute(run):
    assert run("mariadb", "-NB", "shop", "-e", "SELECT 1, 'a b', NULL").stdout == "1\ta b\tNULL\n"
    assert "| 1 |" in run("mysql", "-t", "shop", "-e", "SELECT 1").stdout


def test_a_script_from_standard_input(run):
    script = """
        CREATE TABLE cli (id INT PRIMARY KEY, name VARCHAR(20));
        INSERT INTO cli VALUES (1, 'one'), (2, 'two');
        DELIMITER //
        CREATE PROCEDURE cli_all() BEGIN SELECT * FROM cli ORDER BY id; SELECT 'end'; END //
        DELIMITER ;
        CALL cli_all();
        DROP PROCEDURE cli_all;
        DROP TABLE cli;
    """
    assert run("mariadb", "-NB", "shop", stdin=script).stdout == "1\tone\n2\ttwo\nend\n"


def test_an_error_is_an_exit_code(run, instance):
    done = run("mariadb", "shop", "-e", "SELECT * FROM nothere", check=False)
    assert done.returncode == 1 and "ERROR 1146 (42S02) at line 1: Table 'shop.nothere' doesn't exist" in done.stderr
    done = run("mariadb", "-e", "SELECT 1", password="wrong", check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        f"ERROR 1045 (28000): Access denied for user '{instance.user}'@'127.0.0.1' (using password: YES)"
    )


def test_tls(run, instance):
    verified = ["--ssl", f"--ssl-ca={instance.ca_file}", "--ssl-verify-server-cert"]
    status = run("mariadb", *verified, "shop", "-e", "status").stdout
    assert "Cipher in use is" in status and "MariaDB" in status
    assert "Not in use" in run("mariadb", "--skip-ssl", "shop", "-e", "status").stdout
    wrong = run("mariadb", "--ssl-ca=/etc/ssl/certs/ca-certificates.crt", "--ssl-verify-server-cert", "-e", "SELECT 1", check=False)
    assert wrong.returncode != 0


def test_local_infile(run, tmp_path):
    source = tmp_path / "rows.txt"
    source.write_text("".join(f"{n}\tname {n}\n" for n in range(5000)))
    run("mariadb", "shop", "-e", "CREATE TABLE cli_load (id INT, name VARCHAR(20))")
    run("mariadb", "--local-infile=1", "shop", "-e", f"LOAD DATA LOCAL INFILE '{source}' INTO TABLE cli_load")
    assert run("mariadb", "-NB", "shop", "-e", "SELECT COUNT(*), SUM(id) FROM cli_load").stdout == "5000\t12497500\n"
    run("mariadb", "shop", "-e", "DROP TABLE cli_load")


def test_control_c_kills_the_query(instance, run):
    """The client opens a second connection and kills by the connection id that it was told."""
    process = subprocess.Popen(
        command(instance, "mariadb", "-NB", "shop", "-e", "SELECT SLEEP(50) FROM seq_1_to_2"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(instance.password),
    )  # fmt: skip
    sleeping = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(50)%'"
    try:
        poll(lambda: run("mariadb", "-NB", "-e", sleeping).stdout == "1\n", 20, "the query does not run")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, noise = process.communicate(timeout=20)
        assert time.monotonic() - start < 15
        assert b"1317" in noise or b"query killed" in noise.lower(), noise
    finally:
        process.kill()
    assert run("mariadb", "-NB", "-e", sleeping).stdout == "0\n"


def test_dump_and_load_back(run, tmp_path):
    run("mariadb", "--default-character-set=utf8mb4", "shop", stdin="""
        CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, body LONGBLOB, label VARCHAR(30) CHARACTER SET utf8mb4);
        INSERT INTO parent (body, label) SELECT UNHEX(SHA2(seq, 512)), CONCAT('étiquette 🏷 ', seq) FROM seq_1_to_2000;
        CREATE TABLE child (id INT PRIMARY KEY, parent_id INT, FOREIGN KEY (parent_id) REFERENCES parent (id));
        INSERT INTO child SELECT seq, seq FROM seq_1_to_500;
        CREATE VIEW both_tables AS SELECT child.id, label FROM child JOIN parent ON parent.id = parent_id;
        CREATE TRIGGER before_child BEFORE INSERT ON child FOR EACH ROW SET NEW.id = NEW.id;
        CREATE PROCEDURE count_them() SELECT COUNT(*) FROM parent;
    """)
    checksum = "CHECKSUM TABLE parent, child; SELECT COUNT(*), MAX(label) FROM both_tables; CALL count_them()"
    before = run("mariadb", "-NB", "--default-character-set=utf8mb4", "shop", "-e", checksum).stdout
    dump = tmp_path / "dump.sql"
    run("mariadb-dump", "--single-transaction", "--routines", "--triggers", f"--result-file={dump}", "shop")
    drop = "DROP VIEW both_tables; DROP PROCEDURE count_them; DROP TABLE child, parent"
    run("mariadb", "shop", "-e", drop)
    run("mariadb", "--default-character-set=utf8mb4", "shop", "-e", f"source {dump}")
    assert run("mariadb", "-NB", "--default-character-set=utf8mb4", "shop", "-e", checksum).stdout == before
    run("mariadb", "shop", "-e", drop)


def test_admin(run):
    assert run("mariadb-admin", "ping").stdout == "mysqld is alive\n"
    assert run("mariadb-admin", "status").stdout.startswith("Uptime: ")
    assert "| alice |" in run("mariadb-admin", "processlist").stdout
    assert "10." in run("mariadb-admin", "version").stdout
    assert run("mariadb-admin", "shutdown", check=False).returncode != 0
    assert run("mariadb-admin", "ping").stdout == "mysqld is alive\n"


def test_show_and_check(run):
    run("mariadb", "shop", "-e", "CREATE TABLE cli_check (id INT PRIMARY KEY)")
    assert "cli_check" in run("mariadb-show", "shop").stdout
    assert "shop.cli_check" in run("mariadb-check", "shop").stdout
    run("mariadb", "shop", "-e", "DROP TABLE cli_check")
