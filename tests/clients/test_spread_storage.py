"""Sets of databases over several nodes in a bucket of a real S3 server (moto): put there whole, downloaded over a link, fetched for a
restore and for a drill, and found again by a machine that has nothing but the bucket, the key and the configuration."""

import hashlib
import io
import json
import shutil
import tarfile

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import end
from test_disaster import PASSWORD, back_up
from test_download import get, item
from test_object_storage import BUCKET, PREFIX
from test_object_storage import s3, storing  # noqa: F401

ROWS = 500


class Spread:
    """A database over two nodes."""

    def __init__(self, service):
        self.service = service
        self.id = service.api().order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        self.at = endpoint_of(service.api().wait_active(self.id))
        self.run(
            "CREATE TABLE item (id INT NOT NULL PRIMARY KEY, name VARCHAR(60), price FLOAT) DISTRIBUTE BY HASH(id)",
            "CREATE TABLE currency (code CHAR(3) PRIMARY KEY, name VARCHAR(40)) DISTRIBUTE BY BROADCAST",
            "CREATE TABLE note (id INT PRIMARY KEY, t TEXT)",
            "INSERT INTO item VALUES " + ", ".join(f"({n}, '墨水 {n}', {n} / 7)" for n in range(ROWS)),
            "INSERT INTO currency VALUES ('EUR', 'Euro'), ('CNY', '元')",
            "INSERT INTO note VALUES (1, 'it''s here')",
        )  # fmt: skip

    def run(self, *statements, at=None):
        host, port = at or self.at
        with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall()

    def content(self, at=None):
        queries = ["SELECT COUNT(*), SUM(id), SUM(CRC32(name)), SUM(price) FROM item", "SELECT * FROM currency ORDER BY code", "SELECT * FROM note"]
        return [self.run(query, at=at) for query in queries]

    def restored(self, **parameters):
        api = self.service.api()
        answer = api.call("RestoreDatabase", SrcInstanceId=self.id, SrcDBName="shop", WithAccounts="true", **parameters)
        return answer["NewInstanceId"], endpoint_of(api.wait_active(answer["NewInstanceId"]))

    def set(self, backup_id):
        (row,) = [row for row in self.service.admin("backup", "list") if row["backup_id"] == backup_id]
        return row

    def local(self, backup_id):
        directory = self.service.data_dir / "backups" / self.id / backup_id
        return sorted(path.name for path in directory.iterdir())


@pytest.fixture(scope="module")
def spread(storing):  # noqa: F811
    return Spread(storing)


def test_a_set_of_several_nodes_lives_in_the_bucket(s3, spread):  # noqa: F811
    service, api = spread.service, spread.service.api()
    before = spread.content()
    backup_id = back_up(api, spread.id)
    spread.run("DELETE FROM item WHERE id % 2", "INSERT INTO currency VALUES ('XXX', 'late')")
    assert spread.set(backup_id)["stored_in"] == f"s3://{BUCKET}/{PREFIX}"
    place = f"backups/{spread.id}/{backup_id}"
    assert s3.names() == [f"{place}/dump.sql.zst.enc", f"{place}/manifest.json"]
    assert spread.local(backup_id) == ["manifest.json"]

    # Downloaded, it is what the manifest says, of both nodes.
    answer, connection = get(service, item(service, spread.id, backup_id)["BackupDownloadURL"])
    archive = answer.read()
    connection.close()
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        manifest = json.load(members.extractfile(f"{backup_id}/manifest.json"))
        data = members.extractfile(f"{backup_id}/dump.sql.zst.enc").read()
    assert hashlib.sha256(data).hexdigest() == manifest["dump"]["sha256"]
    assert (manifest["format"], len(manifest["further_binlogs"])) == (7, 1), manifest

    # It is fetched for a proof and for a restore.
    service.admin("backup", "verify", backup_id)
    poll(lambda: spread.set(backup_id)["verified_at"], 90, lambda: f"not proven: {service.log()[-2000:]}")
    assert spread.set(backup_id)["verify_failure"] is None
    copy, at = spread.restored(BackupId=backup_id)
    assert spread.content(at) == before
    assert len([node for node in service.admin("node", "list") if node["instance_id"] == copy]) == 2
    api.delete(copy)

    # What is damaged there is found, and named.
    key = f"{PREFIX}/{place}/dump.sql.zst.enc"
    damaged = bytearray(data)
    damaged[len(damaged) // 2] ^= 1
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=bytes(damaged))
    poll(lambda: spread.local(backup_id) == ["manifest.json"], 90, "what was fetched stays here")
    service.admin("backup", "verify", backup_id)
    failure = poll(lambda: spread.set(backup_id)["verify_failure"], 90, "the damage is not found")
    assert "damaged" in failure
    service.admin("backup", "delete", backup_id)
    assert s3.names() == []


def test_an_empty_machine_finds_it_again(s3, spread):  # noqa: F811
    """docs/disaster-recovery.md, with a bucket: the sets of all instances are found, and those over several nodes can be restored."""
    service, api = spread.service, spread.service.api()
    api.call("ModifyBackupPolicy", InstanceId=spread.id, DBName="shop", EnableBinlogBackup="true")
    service.admin("control-plane", "backup")
    # A set that the backup of the control plane does not know.
    before = spread.content()
    backup_id = back_up(api, spread.id)
    api.close()
    service.kill()
    for pid in service.node_pids():
        end(pid)
    shutil.rmtree(service.data_dir)
    service.config["backup"]["recycle_days"] = 7
    service.admin("control-plane", "restore", "--from-bucket", "--config", str(service.config_path))
    service.start()
    poll(lambda: service.admin("recovery", "status")["bucket"] == "fetched", 60, lambda: service.log()[-2000:])
    (row,) = [row for row in service.admin("recovery", "status")["databases"] if row["instance_id"] == spread.id]
    assert row["newest_set"] == backup_id and row["data"] == "lost", row
    service.admin("backup", "verify", backup_id)
    poll(lambda: spread.set(backup_id)["verified_at"], 90, lambda: f"not proven: {service.log()[-2000:]}")
    assert spread.set(backup_id)["verify_failure"] is None
    # Its nodes are not made anew: the instance is deleted, which leaves the set in the recycle bin, and restored out of that.
    service.admin("instance", "delete", "--instance-id", spread.id)
    service.api().wait_gone(spread.id)
    (entry,) = service.admin("recycle", "list")
    assert (entry["backup_id"], entry["final"]) == (backup_id, False), entry
    copy = service.admin("recycle", "restore", backup_id, "--with-accounts")["instance_id"]
    at = endpoint_of(service.api().wait_active(copy))
    assert spread.content(at) == before
    assert len([node for node in service.admin("node", "list") if node["instance_id"] == copy]) == 2
