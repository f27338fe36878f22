"""docs/import-export.md with real programs: what is exported is loaded by MariaDB's client, by mydumper's own loader and by our import,
from files and from a stream, and what comes out is compared."""

import gzip
import json
import os
import shutil
import subprocess

import pytest

from harness.service import Service
from test_import import DONE, PASSWORD, World

MANIFEST = "the checksum in the manifest"


@pytest.fixture(scope="module")
def world():
    service = Service()
    try:
        yield World(service.start())
    finally:
        service.destroy()


@pytest.fixture(autouse=True)
def emptied(world):
    """The second instance is empty before each test, whatever the one before left."""
    if world.tables(1):
        world.empty(1)


def export(world, name, *words):
    """Exports the first instance into a directory; what is told of it."""
    target = world.service.home / name
    shutil.rmtree(target, ignore_errors=True)
    place = ["--instance-id", world.ids[0], "--db-name", "shop"]
    task = world.service.admin("export", "start", *place, "--to", str(target), *words)["task_id"]
    shown = world.ended(task, "export")
    assert shown["status"] == DONE, shown
    return target, shown


def client(world, *words):
    """A program of MariaDB or mydumper against the second instance."""
    host, port = world.ends[1]
    return [words[0], "--host", host, "--port", str(port), "--user", "alice", f"--password={PASSWORD}", *words[1:]]


@pytest.mark.parametrize("method, ending, unpack", [("zstd", ".zst", "zstd -dc"), ("gzip", ".gz", "gzip -dc"), ("none", "", "cat")])
def test_a_client_loads_the_text(world, method, ending, unpack):
    target, shown = export(world, "sql", "--compress", method)
    names = sorted(path.name for path in target.iterdir())
    assert names == [f"dump.sql{ending}", "manifest.json"] and shown["files"] == 1
    load = " ".join(client(world, "mariadb", "--binary-mode", "--comments", "--max-allowed-packet=1G", "shop"))
    subprocess.run(["bash", "-ec", f"set -o pipefail; {unpack} {target}/dump.sql{ending} | {load}"], check=True)
    assert world.content(1) == world.expected
    world.empty(1)
    again = world.imported(world.begin(target))
    assert {one["compared_with"] for one in again["tables"]} == {MANIFEST}


@pytest.mark.parametrize("method", ["gzip", "none"])
def test_myloader_and_an_import_load_the_files(world, method):
    target, shown = export(world, "files", "--layout", "mydumper", "--compress", method)
    ending = {"gzip": ".gz", "none": ""}[method]
    assert (target / f"shop.item-schema.sql{ending}").exists() and (target / "metadata").exists()
    assert shown["files"] == len(list(target.iterdir())) - 1
    subprocess.run(client(world, "myloader", "-e", "-B", "shop", "-t", "2", "-d", str(target)), check=True)
    assert world.content(1) == world.expected
    world.empty(1)
    again = world.imported(world.begin(target))
    assert {one["compared_with"] for one in again["tables"]} == {MANIFEST}
    assert again["triggers"] == 1 and again["views"] == 1 and again["routines"] == 1


def test_a_changed_file_is_named_and_nothing_is_imported(world):
    target, _ = export(world, "changed", "--layout", "mydumper", "--compress", "none")
    path = next(path for path in target.iterdir() if path.name.startswith("shop.item.0"))
    # What loads as well as before: a digit of a number.
    text = path.read_bytes()
    at = text.index(b"VALUES\n(1,") + len(b"VALUES\n(")
    path.write_bytes(text[:at] + b"0" + text[at + 1 :])
    refused = world.ended(world.begin(target))
    assert refused["status"] != DONE and path.name in refused["message"], refused
    assert world.tables(1) == []


def stream(world, *words):
    command = [str(world.service.binary), "admin", "export", "stream", "--instance-id", world.ids[0], "--db-name", "shop", *words]
    environment = {**os.environ, "OPENPETA_DATA_DIR": str(world.service.data_dir)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)


def test_a_stream_is_loaded_and_tells_what_is_in_it(world):
    done = stream(world)
    told = {one["table"]: one["rows"] for one in json.loads(done.stderr)["tables"]}
    assert told["log"] == 0 and told["item"] > 0
    load = client(world, "mariadb", "--binary-mode", "--comments", "--max-allowed-packet=1G", "shop")
    subprocess.run(load, input=done.stdout, check=True)
    assert world.content(1) == world.expected
    world.empty(1)
    packed = world.service.home / "stream.sql.gz"
    packed.write_bytes(stream(world, "--compress", "gzip").stdout)
    again = world.imported(world.begin(packed))
    assert {one["compared_with"] for one in again["tables"]} == {MANIFEST}
    world.empty(1)
    # A row is another one, and the text says what there was.
    text = gzip.decompress(packed.read_bytes())
    changed = text.replace(b"\n(1,", b"\n(0,", 1)
    assert changed != text
    packed.write_bytes(gzip.compress(changed))
    refused = world.ended(world.begin(packed))
    assert refused["status"] != DONE and "the content of table item" in refused["message"], refused
    packed.write_bytes(gzip.compress(text[: text.index(b"-- OpenPeta manifest")]))
    refused = world.ended(world.begin(packed))
    assert refused["status"] != DONE and "cut off" in refused["message"], refused


def test_what_is_not_there_is_not_streamed(world):
    """What cannot be exported is told before anything is written."""
    place = ["--instance-id", world.ids[0], "--db-name", "other"]
    command = [str(world.service.binary), "admin", "export", "stream", *place]
    environment = {**os.environ, "OPENPETA_DATA_DIR": str(world.service.data_dir)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0 and not done.stdout and b"NotFound" in done.stderr, done.stderr
