#!/usr/bin/env python3
"""Applying the binary log for a restore to a point in time, against `mariadb-binlog | mariadb` into a node that is set up alike and was
loaded with the same rows. The log is that of `oltp_write_only`. Target: 1.5 times the rate by hand. Run it with the Python that
bench/run.sh made."""

import argparse
import datetime
import json
import statistics
import subprocess
import time

from backup import Side, by_hand, restore, shell
from measure import machine, summary, verdict
from harness.api import endpoint_of, poll
from harness.service import Service


def archived(service):
    """Waits until the archive has the log of now."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def has_all():
        logs = service.admin("backup", "logs")
        until = logs and logs[0]["archived_until"]
        return until and datetime.datetime.fromisoformat(until.replace("Z", "+00:00")) > now

    poll(has_all, 60, "the log is not archived")


def applied(service, instance_id):
    """Seconds that the step of the restore took which applies the log."""
    (task,) = [task for task in service.admin("task", "list") if task["instance_id"] == instance_id]
    spans = json.loads(json.dumps(service.admin("task", "show", task["task_id"])))["steps"]
    (step,) = [step for step in spans if step["name"] == "replay-log"]
    at = [datetime.datetime.fromisoformat(step[name].replace("Z", "+00:00")) for name in ("started_at", "finished_at")]
    return (at[1] - at[0]).total_seconds()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000, help="in each of four tables")
    parser.add_argument("--seconds", type=int, default=20, help="of clients that write")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(machine())
    with Service() as service:
        api = service.api()
        instance_id = api.order()["InstanceId"]
        side = Side(*endpoint_of(api.wait_active(instance_id)))
        config = next(path / "my.cnf" for path in service.node_dirs() if (path / "my.cnf").exists()).read_text()
        side.fill(arguments.rows)
        api.call("ModifyBackupPolicy", InstanceId=instance_id, DBName="shop", EnableBinlogBackup="true")
        backup_id = str(api.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop")["BackupId"])
        poll(lambda: all(row["status"] == "Success" for row in service.admin("backup", "list")), 600, "the backup does not end")
        archived(service)
        said = side.sysbench(f"--table-size={arguments.rows}", "--threads=4", f"--time={arguments.seconds}", "oltp_write_only", "run")
        transactions = int(said.split("transactions:")[1].split()[0])
        time.sleep(1.1)
        until = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        time.sleep(1.1)
        archived(service)
        print(f"{transactions} transactions are applied")
        compare(service, api, instance_id, backup_id, until, config, arguments.rounds)


def compare(service, api, instance_id, backup_id, until, config, rounds):
    manifest = json.loads((service.data_dir / "backups" / instance_id / backup_id / "manifest.json").read_text())
    archive = service.data_dir / "binlogs" / manifest["binlog"]["node"]
    set_file = service.data_dir / "backups" / instance_id / backup_id / manifest["dump"]["name"]
    ours, theirs = [], []
    for number in range(rounds):
        _, new = restore(api, instance_id, RestoreType="1", RestoreTime=until)
        ours.append(applied(service, new))
        api.delete(new, 120)
        place = service.home / f"by-hand-{number}"
        with by_hand(service, config, place) as hand:
            del hand
            client = f"mariadb --no-defaults --socket={place}/mysqld.sock --user=root"
            shell(f"zstd -dc {set_file} | {client} shop")
            logs = place / "logs"
            logs.mkdir()
            first = manifest["binlog"]["file"]
            names = sorted(path for path in archive.iterdir() if path.name.startswith("bin.") and path.name[:10] >= first)
            for path in names:
                subprocess.run(["bash", "-c", f"zstd -dcf {path} > {logs / path.name[:10]}"], check=True)
            files = " ".join(str(path) for path in sorted(logs.iterdir()))
            read = f"mariadb-binlog --no-defaults --database=shop --start-position={manifest['binlog']['position']} {files}"
            theirs.append(shell(f"{read} | {client}"))
    ratios = [hand / our for our, hand in zip(ours, theirs)]
    print(f"applying the log: {summary(ours, 's', digits=2)}; by hand {summary(theirs, 's', digits=2)}")
    print(f"rate {summary(ratios, 'of that by hand', digits=2)}; at least 1.5: {verdict(statistics.median(ratios) >= 1.5)}")


if __name__ == "__main__":
    main()
