"""Starts that cannot work: a clear reason, an exit code, and nothing damaged."""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import sqlite3
import subprocess

import pytest

from harness.service import StartError

# Exit codes of `serve`.
OTHER, SETTING, IN_USE, DATA_DIR = 1, 2, 3, 4


def refused(service, code, *words):
    """The start fails with the code, and the reason has the words."""
    with pytest.raises(StartError) as caught:
        service.start()
    assert caught.value.code == code, caught.value.log
    for word in words:
        assert str(word) in caught.value.log, caught.value.log
    assert "panicked" not in caught.value.log
    return caught.value.log


def twin(service, own):
    """A second service on the same data directory."""
    second = own()
    second.data_dir = service.data_dir
    return second


def test_a_second_service_on_the_directory(own):
    first = own().start()
    refused(twin(first, own), IN_USE, first.data_dir, first.pid)
    assert first.api().instances() == []
    assert first.stop() == 0
    # The lock goes with the process, not with a file.
    first.start()
    first.kill()
    assert twin(first, own).start().stop() == 0


@pytest.mark.parametrize("protocol", ["http", "https"])
def test_a_taken_port(own, protocol):
    service = own()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        setattr(service, f"{protocol}_listen", address)
        refused(service, IN_USE, address, f"--{protocol}-listen")
    setattr(service, f"{protocol}_listen", "127.0.0.1:0")
    assert service.start().stop() == 0


def test_no_mariadbd(own):
    service = own({"nodes": {"mariadbd": "/nonexistent/mariadbd"}})
    log = refused(service, OTHER, "/nonexistent/mariadbd")
    assert "No such file" in log or "not found" in log or "missing" in log
    service.config["nodes"].pop("mariadbd")
    assert service.start().stop() == 0


def test_no_template(own):
    """A template that vanished is made again."""
    service = own().start()
    service.stop()
    shutil.rmtree((service.data_dir / "template").resolve())
    api = service.start().api()
    instance_id = api.order()["InstanceId"]
    api.wait_active(instance_id)
    api.delete(instance_id)
    assert service.stop() == 0


def test_a_data_directory_that_cannot_be_written(own, tmp_path):
    service = own()
    locked = service.home / "locked"
    locked.mkdir(mode=0o555)
    service.data_dir = locked / "data"
    if os.geteuid() == 0:
        # Permissions do not hold root back: another user then.
        service.home.chmod(0o755)
        service.config_path.write_text("")
        nobody = pwd.getpwnam("nobody")
        binary = shutil.copy(service.binary, service.home / "openpeta")
        os.chmod(binary, 0o755)
        done = subprocess.run(
            [binary, "serve", "--data-dir", service.data_dir, "--http-listen", "127.0.0.1:0", "--https-listen", "127.0.0.1:0"],
            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, text=True, timeout=30,
            check=False,
        )  # fmt: skip
        assert done.returncode == DATA_DIR, done.stderr
        assert str(locked) in done.stderr and "Permission denied" in done.stderr
    else:
        refused(service, DATA_DIR, locked, "Permission denied")


def test_a_read_only_filesystem(own):
    service = own().start()
    service.stop()
    mounted = subprocess.run(
        ["mount", "--bind", service.data_dir, service.data_dir], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", service.data_dir], check=True)
        refused(service, DATA_DIR, service.data_dir, "read-only")
    finally:
        subprocess.run(["umount", service.data_dir], check=True)
    assert service.start().stop() == 0


def test_a_file_in_place_of_the_directory(own):
    service = own()
    service.data_dir.write_text("mine")
    refused(service, DATA_DIR, service.data_dir)
    assert service.data_dir.read_text() == "mine"


def test_wrong_configuration(own):
    service = own({"nodes": {"spares": 2}})
    refused(service, SETTING, service.config_path, "spares")
    service = own({"network": {"default_vpc_cidr": "127.1.0.0/16", "default_vswitch_cidr": "10.0.0.0/20"}})
    refused(service, SETTING, "default_vswitch_cidr")
    service = own()
    service.config["network"] |= {"classic_port_first": 300, "classic_port_last": 200}
    refused(service, SETTING, "classic_port")
    assert not (service.data_dir / "store.sqlite3").exists()


def content(service):
    """All that the store holds. Not its bytes: whoever opens the file may move what the log beside it holds."""
    path = service.data_dir / "store.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        return list(store.iterdump())


def test_a_lost_or_foreign_key(own):
    service = own().start()
    service.stop()
    key = service.data_dir / "store.key"
    right = key.read_bytes()
    store = content(service)
    key.unlink()
    refused(service, OTHER, "store.key")
    assert not key.exists(), "a new key would make the old secrets unreadable for good"
    key.write_bytes(bytes(len(right)))
    key.chmod(0o600)
    refused(service, OTHER, "store")
    assert content(service) == store
    key.write_bytes(right)
    assert service.start().stop() == 0


def test_a_damaged_store(own):
    service = own().start()
    service.stop()
    path = service.data_dir / "store.sqlite3"
    for suffix in ("-wal", "-shm"):
        pathlib.Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(b"not a database" + os.urandom(4096))
    damaged = path.read_bytes()
    refused(service, OTHER, "store")
    assert path.read_bytes() == damaged


def test_a_full_disk(own):
    """An order on a full disk fails as a whole; with room again, all works."""
    service = own()
    service.data_dir.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400m,mode=0711", "openpeta-test", service.data_dir],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        api = service.start().api()
        filler = service.data_dir / "filler"
        free = shutil.disk_usage(service.data_dir).free
        with filler.open("wb") as file:
            # Enough for the store, too little for a node.
            file.write(b"x" * (free - (8 << 20)))
        instance_id = api.order()["InstanceId"]
        api.wait_gone(instance_id, 120)
        assert service.node_dirs() == [] and service.node_pids() == []
        filler.unlink()
        instance_id = api.order()["InstanceId"]
        api.wait_active(instance_id)
        api.delete(instance_id)
        assert service.stop() == 0
        assert service.leftovers() == []
    finally:
        if service.running:
            service.kill()
        for pid in service.processes():
            os.kill(pid, 9)
        subprocess.run(["umount", "-l", service.data_dir], check=True)
