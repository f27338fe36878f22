#!/usr/bin/env python3
"""Backup and restore, against the steps by hand over a node that is set up alike and has the same rows:
`mariadb-backup --stream | zstd`, `mariadb-dump | zstd`, and `zstd -d | mariadb`.

Rounds are interleaved. Targets: backup at 0.9 times the rate of mariadb-backup, a set no more than 3 % larger, clients no more than
20 % slower meanwhile, a restore with verification, from the call to ACTIVE, in 1.5 times the load by hand without. Needs PyMySQL: run
it through bench/run.sh, or with the Python that it made."""

import argparse
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import time

import pymysql

from measure import machine, summary, verdict
from harness.api import endpoint_of, poll
from harness.service import Service, free_port

PASSWORD = "Passw0rd!"
TABLES = 4
ROW_BYTES = 230
"""What a row of sysbench takes on disk, about."""


def shell(command, **keywords):
    """Runs a pipeline; any part that fails fails it. Returns the seconds that it took."""
    start = time.perf_counter()
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, **keywords)
    return time.perf_counter() - start


class Side:
    """Where sysbench and clients go: an instance's endpoint, or the node by hand."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def sysbench(self, *words):
        command = [
            "sysbench", "--db-driver=mysql", f"--mysql-host={self.host}", f"--mysql-port={self.port}", "--mysql-user=alice",
            f"--mysql-password={PASSWORD}", "--mysql-db=shop", f"--tables={TABLES}", *words,
        ]  # fmt: skip
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def fill(self, rows):
        self.sysbench(f"--table-size={rows}", "--rand-seed=7", "--threads=2", "oltp_read_write", "prepare")

    def rate(self, rows, seconds):
        """Transactions a second of oltp_read_write."""
        said = self.sysbench(f"--table-size={rows}", "--threads=4", f"--time={seconds}", "oltp_read_write", "run")
        return float(re.search(r"transactions:\s+\d+\s+\(([\d.]+) per sec", said)[1])

    def connect(self):
        return pymysql.connect(host=self.host, port=self.port, user="alice", password=PASSWORD, database="shop", autocommit=True)


@contextlib.contextmanager
def by_hand(service, node_config, place):
    """A node with the template and settings of the service's, kept by nobody; its root is the system's."""
    old = pathlib.Path(re.search(r'^datadir="?([^"\n]+)', node_config, re.M)[1]).parent
    for name in ("binlog", "files", "tmp"):
        (place / name).mkdir(parents=True)
    subprocess.run(["cp", "-a", "--sparse=always", service.data_dir / "template" / "data", place / "data"], check=True)
    (place / "my.cnf").write_text(node_config.replace(str(old), str(place)))
    (place / "init.sql").write_text(
        # The server reads a statement a line.
        "CREATE USER IF NOT EXISTS root@localhost IDENTIFIED VIA unix_socket;\nGRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;\n"
        f"CREATE DATABASE shop;\nCREATE USER alice@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON shop.* TO alice@'%';\n"
    )
    port = free_port()
    command = [
        "mariadbd", f"--defaults-file={place}/my.cnf", f"--init-file={place}/init.sql", "--skip-networking=0", f"--port={port}",
        "--bind-address=127.0.0.1",
    ]  # fmt: skip
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "mysql:mysql", place], check=True)
        command.append("--user=mysql")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    side = Side("127.0.0.1", port)

    def ready():
        try:
            side.connect().close()
            return True
        except pymysql.err.OperationalError:
            return False

    poll(ready, 60, "the node by hand does not answer", interval=0.005)
    try:
        yield side
    finally:
        process.terminate()
        process.wait()


def back_up(api, instance_id):
    """Seconds from the call to Success, and the set."""
    start = time.perf_counter()
    backup_id = api.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop")["BackupId"]

    wait_for_backup(api, instance_id, backup_id)
    return time.perf_counter() - start, str(backup_id)


def wait_for_backup(api, instance_id, backup_id):
    """Polls until a set is a success."""

    def ended():
        answer = api.call(
            "DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupId=backup_id, StartTime="2019-01-01T00:00Z",
            EndTime="2999-01-01T00:00Z",
        )  # fmt: skip
        (found,) = answer["BackupItems"]["Backup"]
        assert found["BackupStatus"] != "Failed", found
        return found["BackupStatus"] == "Success"

    poll(ended, 1800, "the backup does not end", interval=0.05)


def bytes_of(directory):
    return sum(file.stat().st_size for file in pathlib.Path(directory).rglob("*") if file.is_file())


def restore(api, instance_id, **parameters):
    """Seconds from the call to ACTIVE, and the new instance."""
    start = time.perf_counter()
    new = api.call("RestoreDatabase", SrcInstanceId=instance_id, SrcDBName="shop", **parameters)["NewInstanceId"]
    api.wait_active(new, 1800)
    return time.perf_counter() - start, new


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=128, help="rows of about so many (1024 for numbers to keep)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of clients without a backup")
    arguments = parser.parse_args()
    print(machine())
    rows = arguments.megabytes * 1_000_000 // ROW_BYTES // TABLES
    with Service() as service:
        api = service.api()
        instance_id = api.order()["InstanceId"]
        instance = Side(*endpoint_of(api.wait_active(instance_id)))
        node_config = next(path / "my.cnf" for path in service.node_dirs() if (path / "my.cnf").exists()).read_text()
        place = service.home / "by-hand"
        with by_hand(service, node_config, place) as hand:
            instance.fill(rows)
            hand.fill(rows)
            compare(service, api, instance_id, instance, hand, place, rows, arguments)


def compare(service, api, instance_id, instance, hand, place, rows, arguments):
    ours, physical, logical, sizes, restored, loaded = [], [], [], [], [], []
    socket = f"--socket={place}/mysqld.sock"
    tools = "mariadb-backup --backup --stream=xbstream"
    for _ in range(arguments.rounds):
        took, backup_id = back_up(api, instance_id)
        ours.append(took)
        physical.append(shell(f"{tools} {socket} --user=root --target-dir={place}/tmp 2>{place}/log | zstd -3 -q -f -o {place}/physical.zst"))
        logical.append(shell(f"mariadb-dump --no-defaults {socket} --user=root --single-transaction --routines --events shop | zstd -3 -q -f -o {place}/logical.zst"))
        its = bytes_of(service.data_dir / "backups" / instance_id / backup_id)
        sizes.append((its, (place / "physical.zst").stat().st_size, (place / "logical.zst").stat().st_size))
        took, new = restore(api, instance_id, BackupId=backup_id)
        restored.append(took)
        api.delete(new, 120)
        shell(f"mariadb --no-defaults {socket} --user=root -e 'CREATE DATABASE loaded'")
        loaded.append(shell(f"zstd -dc {place}/logical.zst | mariadb --no-defaults {socket} --user=root loaded"))
        shell(f"mariadb --no-defaults {socket} --user=root -e 'DROP DATABASE loaded'")
    report_of("backup", ours, {"mariadb-backup | zstd": physical, "mariadb-dump | zstd": logical}, "rate", 0.9)
    for name, at in (("mariadb-backup", 1), ("mariadb-dump", 2)):
        print(f"size to {name}'s: {statistics.median(one[0] / one[at] for one in sizes):.3f} ({sizes[0][0] / 1e6:.1f} MB)")
    report_of("restore with verification", restored, {"zstd -d | mariadb, without": loaded}, "time", 1.5)

    alone, beside = [], []
    for _ in range(arguments.rounds):
        alone.append(instance.rate(rows, arguments.seconds))
        # Clients run for about as long as the backup took alone, so that all of their time is beside it.
        backup_id = api.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop")["BackupId"]
        beside.append(instance.rate(rows, max(2, int(statistics.median(ours)))))
        wait_for_backup(api, instance_id, backup_id)
    ratios = [one / other for one, other in zip(beside, alone)]
    print(f"oltp_read_write during a backup: {summary(ratios, 'times the rate without', digits=2)}; at least 0.8: {verdict(statistics.median(ratios) >= 0.8)}")


def report_of(what, ours, others, kind, target):
    print(f"{what}: {summary(ours, 's', digits=2)}")
    for at, (name, theirs) in enumerate(others.items()):
        ratios = [other / our if kind == "rate" else our / other for our, other in zip(ours, theirs)]
        reached = statistics.median(ratios) >= target if kind == "rate" else statistics.median(ratios) <= target
        goal = f"; {'at least' if kind == 'rate' else 'at most'} {target}: {verdict(reached)}" if at == 0 else ""
        print(f"  {name}: {summary(theirs, 's', digits=2)}; {kind} {summary(ratios, 'of it', digits=2)}{goal}")


if __name__ == "__main__":
    main()
