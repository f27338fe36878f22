"""The commands of docs/restore-by-hand.md, as they stand there, against a MariaDB server that knows nothing of us; then every table is
compared with the manifest."""

import json
import os
import pathlib
import re
import subprocess

import pytest

import sides
from harness.api import endpoint_of
from harness.service import ROOT
from test_disaster import PASSWORD, SCHEMA, back_up, run

PAGE = ROOT / "docs/restore-by-hand.md"
# What the page says for where the sets lie, and for the place of a new server.
PLACE, FILES, NEW = "DIR/backups/pd-…/100001", "DIR/backups/pd-…/100002", "/srv/restored"
SPREAD, SERVERS = "DIR/backups/pd-…/100003", ("/srv/node-0/socket", "/srv/node-1/socket")
PLAIN = """
[mariadbd]
{user}
datadir={work}/data
socket={work}/node.sock
pid-file={work}/node.pid
log-error={work}/error.log
tmpdir={work}/tmp
port={port}
bind-address=127.0.0.1
"""
MORE = [
    "CREATE TABLE empty (id INT PRIMARY KEY)",
    "CREATE TABLE `odd ``name``\\t` (`a b` VARBINARY(300), KEY (`a b`)) ENGINE=Aria",
    "INSERT INTO `odd ``name``\\t` SELECT UNHEX(SHA2(seq, 512)) FROM seq_1_to_300",
    "CREATE PROCEDURE most() BEGIN /* kept */ SELECT 'a;b'; END",
    "CREATE EVENT gone ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO DELETE FROM item",
]


def blocks():
    """The commands of the page: those for text, those for text of several nodes, and those for data files."""
    parts = re.split(r"\n## A set of (?:a database over several nodes|data files)\n", PAGE.read_text())
    return [re.findall(r"^```sh\n(.*?)^```$", part, re.DOTALL | re.MULTILINE) for part in parts]


@pytest.fixture(scope="module")
def plain():
    """A server as mariadb-install-db makes it, and how its own client finds it."""
    with sides.workplace() as place:
        with sides.Node(pathlib.Path(place) / "plain", None, PLAIN) as node:
            (node.work / ".my.cnf").write_text(f"[client]\nsocket={node.work}/node.sock\nuser=root\n")
            yield node


def shell(plain, commands):
    """What the commands say."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MYSQL")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], env={**kept, "HOME": str(plain.work)}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_restores_a_set_by_hand(service, plain):
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA, *MORE)
    backup_id = back_up(api, instance_id)
    directory = service.data_dir / "backups" / instance_id / backup_id
    manifest = json.loads((directory / "manifest.json").read_text())

    (begin, *middle, compare), _, _ = blocks()
    assert PLACE in begin and "db=shop" in begin
    begin = begin.replace(PLACE, str(directory))
    said = shell(plain, begin + "".join(middle) + compare)
    checked = {name: table for name, table in manifest["tables"].items() if table["check"]}
    assert set(checked) == {"item", "log", "empty", "odd `name`\\t"}
    assert said.endswith(f"{len(checked)} tables are as they were\n") and "differs" not in said, said
    # The same without the page's own comparison.
    for name, table in checked.items():
        query = f"SET time_zone='+00:00', NAMES utf8mb4; {table['check']}"
        found = subprocess.run(
            ["mariadb", f"--defaults-file={plain.work}/.my.cnf", "-N", "shop", "-e", query], capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == [str(table["rows"]), str(table["checksum"])], name
    assert manifest["tables"]["item"]["rows"] == 2000
    # Without an account of the definer's name the trigger's table takes no rows, but everything is there.
    objects = "SELECT COUNT(*) FROM information_schema.{} WHERE {} = 'shop'"
    for table, column in (("VIEWS", "TABLE_SCHEMA"), ("TRIGGERS", "TRIGGER_SCHEMA"), ("ROUTINES", "ROUTINE_SCHEMA"), ("EVENTS", "EVENT_SCHEMA")):
        query = objects.format(table, column)
        found = shell(plain, f'mariadb -N -e "{query}"')
        assert found == "1\n", table
    # A row that was changed is found by the page's comparison.
    shell(plain, "mariadb shop -e 'UPDATE item SET price = 0 WHERE id = 7'")
    said = shell(plain, begin + compare)
    assert said.count("differs") == 1 and said.endswith(f"{len(checked) - 1} tables are as they were\n"), said
    api.delete(instance_id)
    api.close()


def test_the_page_restores_a_set_of_several_nodes(service, plain):
    api = service.api()
    instance_id = api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(
        at,
        "CREATE TABLE item (id INT PRIMARY KEY, note VARCHAR(40)) DISTRIBUTE BY HASH(id)",
        "CREATE TABLE kind (id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST",
        "CREATE TABLE single (id INT PRIMARY KEY, note TEXT)",
        "INSERT INTO item VALUES " + ", ".join(f"({n}, 'it''s {n};')" for n in range(500)),
        "INSERT INTO kind VALUES (1), (2)",
        "INSERT INTO single VALUES (1, 'a;\nb')",
    )
    backup_id = back_up(api, instance_id)
    directory = service.data_dir / "backups" / instance_id / backup_id
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["format"] == 6 and [node["number"] for node in manifest["spread"]["nodes"]] == [1]
    with sides.workplace() as place, sides.Node(pathlib.Path(place) / "second", None, PLAIN) as second:
        _, (begin, load, compare), _ = blocks()
        assert SPREAD in begin and all(server in begin for server in SERVERS)
        begin = begin.replace(SPREAD, str(directory))
        for server, node in zip(SERVERS, (plain, second)):
            begin = begin.replace(server, f"{node.work}/node.sock")
        shell(plain, "mariadb -e 'DROP DATABASE IF EXISTS shop'")
        said = shell(plain, begin + load + compare)
        assert said.endswith("\n5 tables are as they were\n") and "differs" not in said, said
        counts = [shell(plain, f"mariadb --socket={node.work}/node.sock -N shop -e 'SELECT COUNT(*) FROM item'") for node in (plain, second)]
        assert sum(map(int, counts)) == 500 and min(map(int, counts)) > 100, counts
        shell(plain, f"mariadb --socket={second.work}/node.sock shop -e 'DELETE FROM kind WHERE id = 2'")
        said = shell(plain, begin + compare)
        assert said.count("differs on node 1") == 1 and said.endswith("4 tables are as they were\n"), said
        shell(plain, "mariadb -e 'DROP DATABASE shop'")
    api.delete(instance_id)
    api.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="the page is for root")
def test_the_page_makes_a_server_of_data_files(service, plain):
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA, *MORE)
    backup_id = back_up(api, instance_id, BackupMethod="Physical")
    directory = service.data_dir / "backups" / instance_id / backup_id
    manifest = json.loads((directory / "manifest.json").read_text())
    assert sorted(path.name for path in directory.iterdir()) == ["data.mbstream.zst", "manifest.json"]

    (*_, compare), _, (begin, *middle, stop) = blocks()
    assert FILES in begin and NEW in begin
    begin = begin.replace(FILES, str(directory)).replace(NEW, str(plain.work / "restored"))
    said = shell(plain, begin + "".join(middle) + compare + stop)
    checked = [table for table in manifest["tables"].values() if table["check"]]
    assert len(checked) == 4 and manifest["tables"]["item"]["rows"] == 2000
    assert f"{len(checked)} tables are as they were\n" in said and "differs" not in said, said
    api.delete(instance_id)
    api.close()
