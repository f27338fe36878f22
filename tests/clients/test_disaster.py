"""docs/disaster-recovery.md, step by step: the service is killed, its machine's disk is gone, and what was copied elsewhere brings
everything back: ids, endpoints, passwords, keys, and every row."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import end

PASSWORD = "Passw0rd!"
# What is copied elsewhere, by the page.
KEPT = ["control-plane-backups", "backups", "binlogs"]
SCHEMA = [
    "CREATE TABLE item (id INT PRIMARY KEY, name VARCHAR(60) CHARACTER SET utf8mb4, price FLOAT, at TIMESTAMP(6) NULL)",
    "CREATE TABLE log (note TEXT)",
    "CREATE VIEW dear AS SELECT id, name FROM item WHERE price > 1",
    "CREATE TRIGGER noted AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (NEW.name)",
    "INSERT INTO item SELECT seq, CONCAT('墨水 ', seq), seq / 7, '2026-01-02 03:04:05.678901' FROM seq_1_to_2000",
]


def connect(endpoint):
    host, port = endpoint
    return pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True)


def run(endpoint, *statements):
    with connect(endpoint) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def content(endpoint):
    """Number of rows and checksum of each table, and the definitions."""
    with connect(endpoint) as connection, connection.cursor() as cursor:
        found = {}
        for table in ("item", "log"):
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            (rows,) = cursor.fetchone()
            cursor.execute(f"CHECKSUM TABLE {table} EXTENDED")
            found[table] = rows, cursor.fetchone()[1]
        cursor.execute("SELECT COUNT(*), SUM(id) FROM dear")
        return {**found, "dear": cursor.fetchone()}


def back_up(api, instance_id, **parameters):
    backup_id = api.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop", **parameters)["BackupId"]
    window = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}

    def whole():
        found = api.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupId=backup_id, **window)
        return found["BackupItems"]["Backup"][0]["BackupStatus"] == "Success"

    poll(whole, 60, "the backup does not end")
    return str(backup_id)


def archived(service, instance_id):
    """Waits until the archive has the log of now."""
    now = time.time()

    def has_all():
        (log,) = [row for row in service.admin("backup", "logs") if row["instance_id"] == instance_id]
        until = log["archived_until"]
        return until and time.mktime(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone > now

    poll(has_all, 30, "the log is not archived")


def ordered(api, **overrides):
    instance_id = api.order(AccountPassword=PASSWORD, **overrides)["InstanceId"]
    return instance_id, endpoint_of(api.wait_active(instance_id))


def refusal(service, *words):
    """What the operator is told of a command that is refused."""
    command = [service.binary, "admin", *words]
    environment = {**os.environ, "OPENPETA_DATA_DIR": str(service.data_dir)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    return done.stderr


def test_all_comes_back_from_what_was_copied_elsewhere(own):
    service = own().start()
    api = service.api()
    logged, logged_at = ordered(api)
    plain, plain_at = ordered(api)
    for at in (logged_at, plain_at):
        run(at, *SCHEMA)
    api.call("ModifyBackupPolicy", InstanceId=logged, DBName="shop", EnableBinlogBackup="true")
    back_up(api, logged, BackupMethod="Physical")
    elsewhere = service.home / "elsewhere"
    archive = service.home / "control-plane.tar"
    taken = service.admin("control-plane", "backup", str(archive))
    assert taken["instances"] == 2 and archive.stat().st_mode & 0o777 == 0o600

    # What comes after: commits, a set that the backup does not know, and an instance that it does not know.
    run(logged_at, "UPDATE item SET price = id / 3 WHERE id % 2", "DELETE FROM log LIMIT 100")
    run(plain_at, "INSERT INTO item VALUES (9999, 'late', 1.25, NULL)")
    newest = back_up(api, plain)
    late, late_at = ordered(api)
    run(late_at, *SCHEMA[:2])
    orphan = back_up(api, late)
    expected = {logged: content(logged_at), plain: content(plain_at)}
    archived(service, logged)
    for name in KEPT:
        shutil.copytree(service.data_dir / name, elsewhere / name)
    key = service.credentials["access_key_id"], service.credentials["access_key_secret"]
    authority = pathlib.Path(service.credentials["ca_file"]).read_bytes()
    configuration = service.config_path.read_text()
    api.close()

    # The disaster.
    service.kill()
    for pid in service.node_pids():
        end(pid)
    shutil.rmtree(service.data_dir)

    # 1. Restore the control plane.
    damaged = service.home / "damaged.tar"
    bytes_of = bytearray(archive.read_bytes())
    bytes_of[len(bytes_of) // 2] ^= 1
    damaged.write_bytes(bytes_of)
    assert "DamagedBackup" in refusal(service, "control-plane", "restore", str(damaged))
    assert not service.data_dir.exists()
    assert service.admin("control-plane", "check", str(archive))["instances"] == 2
    restored = service.admin("control-plane", "restore", str(archive))
    assert f"--config {service.data_dir}/openpeta.toml" in restored["next"]
    assert (service.data_dir / "openpeta.toml").read_text() == configuration
    assert "InTheWay" in refusal(service, "control-plane", "restore", str(archive))

    # 2. Put back what was kept, and start.
    for name in ("backups", "binlogs"):
        shutil.copytree(elsewhere / name, service.data_dir / name)
    service.start()
    credentials = service.credentials
    assert (credentials["access_key_id"], credentials["access_key_secret"]) == key
    assert pathlib.Path(credentials["ca_file"]).read_bytes() == authority
    api = service.api()
    assert sorted(api.instances()) == sorted([logged, plain])
    for instance_id, at in ((logged, logged_at), (plain, plain_at)):
        info = api.info(instance_id)
        assert info["InstanceStatus"] == "INACTIVE"
        assert endpoint_of(info) == at
        with pytest.raises(pymysql.err.MySQLError) as refused:
            connect(at)
        assert refused.value.args[0] == 1053
    status = service.admin("recovery", "status")
    rows = {row["instance_id"]: row for row in status["databases"]}
    assert status["recovering"]
    assert rows[plain]["data"] == "lost" and rows[plain]["newest_set"] == newest
    assert rows[logged]["log_goes_on"] and not rows[plain]["log_goes_on"]
    assert status["unknown_sets"] == [{"instance_id": late, "backup_id": orphan}]
    assert "is lost" in refusal(service, "recovery", "finish")

    # 3. Recover each instance.
    service.admin("instance", "recover", "--instance-id", plain)
    service.admin("instance", "recover", "--instance-id", logged, "--to-end-of-log")
    for instance_id, at in ((logged, logged_at), (plain, plain_at)):
        assert endpoint_of(api.wait_active(instance_id)) == at
        assert content(at) == expected[instance_id]
        run(at, "INSERT INTO item VALUES (10001, 'new', 2, NULL)")
    assert "DBInstanceStatus" in refusal(service, "instance", "recover", "--instance-id", plain)
    # A set that is taken now has a number of its own.
    assert int(back_up(api, plain)) > int(orphan)

    # 4. Say that all is well.
    assert service.admin("recovery", "finish") == {"sets_put_aside": 1}
    aside = service.data_dir / "unclaimed-backups" / late / orphan
    assert json.loads((aside / "manifest.json").read_text())["source"]["instance_id"] == late
    assert not service.admin("recovery", "status")["recovering"]
    # It is a service like any other.
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(40)
    service.start()
    api = service.api()
    for instance_id in (logged, plain):
        api.wait_active(instance_id)
        api.delete(instance_id)
    assert service.stop() == 0
    assert service.leftovers() == []
