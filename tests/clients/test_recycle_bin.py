"""Deleted by an SDK, brought back out of the recycle bin by the operator, with what it had; then gone for good. The service has the
default configuration."""

import pymysql
import pytest

from harness.api import ApiError, endpoint_of, poll
from harness.service import Service, end
from test_aliyun_sdk import Sdk
from test_disaster import PASSWORD, SCHEMA, back_up, content, run


@pytest.fixture(scope="module")
def bin_service():
    """A service that nobody told how long to keep what is deleted."""
    service = Service()
    del service.config["backup"]["recycle_days"]
    with service:
        yield service


def wait_for_tasks(api, instance_id):
    """Waits until all tasks of an instance have succeeded."""
    poll(lambda: {str(task["Status"]) for task in api.tasks(instance_id)} == {"2"}, 60, lambda: api.tasks(instance_id))


def test_a_deleted_instance_comes_back(bin_service):
    service, api = bin_service, bin_service.api()
    instance_id = api.order(AccountPassword=PASSWORD, InstanceName="till", SecurityIPList="127.0.0.1")["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA)
    earlier = back_up(api, instance_id)
    run(at, "INSERT INTO log VALUES ('after the last backup')")
    before = content(at)
    Sdk(service.credentials).call("DeleteInstance", InstanceId=instance_id)
    api.wait_gone(instance_id)
    (entry,) = service.admin("recycle", "list")
    assert (entry["instance_id"], entry["db_name"], entry["final"]) == (instance_id, "shop", True)
    # What is in the bin is the operator's: the tenant has neither instance nor sets.
    window = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}
    with pytest.raises(ApiError, match="InvalidDBInstanceId.NotFound"):
        api.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", **window)
    sets = service.data_dir / "backups" / instance_id
    assert [path.name for path in sets.iterdir()] == [entry["backup_id"]] != [earlier]
    shown = service.admin("recycle", "show", entry["backup_id"])["content"]
    assert shown["instance_name"] == "till" and shown["accounts"][0]["name"] == "alice"

    # Killed in the midst, it goes on.
    restored = service.admin("recycle", "restore", entry["backup_id"], "--with-accounts")
    service.kill()
    service.start()
    api = service.api()
    new_id = restored["instance_id"]
    info = api.wait_active(new_id)
    assert new_id != instance_id and info["InstanceName"] == "till"
    # The password is what it was.
    assert content(endpoint_of(info)) == before
    audited = service.admin("audit", "list", "--action", "admin:recycle-restore")
    assert [row["instance_id"] for row in audited] == [new_id]

    service.admin("recycle", "purge", entry["backup_id"])
    assert service.admin("recycle", "list") == [] and not sets.exists()
    service.admin("instance", "delete", "--instance-id", new_id, "--without-final-backup")
    api.wait_gone(new_id)
    assert service.admin("recycle", "list") == []


def test_what_cannot_be_backed_up_leaves_its_newest_set(bin_service):
    service, api = bin_service, bin_service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA)
    before = content(at)
    back_up(api, instance_id)
    newest = back_up(api, instance_id)
    run(at, "INSERT INTO log VALUES ('lost')")
    (node,) = [row["node_id"] for row in service.admin("instance", "list") if row["instance_id"] == instance_id]
    # Its data is gone.
    directory = service.data_dir / "nodes" / node
    directory.rename(service.home / "lost")
    for pid in service.node_pids():
        end(pid)

    def is_inactive():
        return next(row["status"] for row in service.admin("instance", "list") if row["instance_id"] == instance_id) == "INACTIVE"

    poll(is_inactive, 60, "nobody notices")
    service.admin("instance", "delete", "--instance-id", instance_id)
    api.wait_gone(instance_id)
    (entry,) = [row for row in service.admin("recycle", "list") if row["instance_id"] == instance_id]
    assert (entry["backup_id"], entry["final"]) == (newest, False)
    events = service.admin("event", "list", "--kind", "final-backup-failed")
    assert [event["instance_id"] for event in events] == [instance_id]
    new_id = service.admin("recycle", "restore", newest, "--with-accounts")["instance_id"]
    assert content(endpoint_of(api.wait_active(new_id))) == before
    service.admin("recycle", "purge", newest)
    service.admin("instance", "delete", "--instance-id", new_id, "--without-final-backup")
    api.wait_gone(new_id)


def test_a_deleted_database_comes_back_and_a_killed_service_loses_none(bin_service):
    service, api = bin_service, bin_service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, *SCHEMA)
    before = content(at)
    api.call("CreateDatabase", InstanceId=instance_id, DBName="other", NodeSpec="petadata.s2.large", NodeNumber=1)
    wait_for_tasks(api, instance_id)
    Sdk(service.credentials).call("DeleteDatabase", InstanceId=instance_id, DBName="shop")
    service.kill()
    service.start()
    api = service.api()
    wait_for_tasks(api, instance_id)
    with pytest.raises(pymysql.err.OperationalError):
        run(at, "SELECT 1")
    (entry,) = service.admin("recycle", "list")
    new_id = service.admin("recycle", "restore", entry["backup_id"], "--with-accounts")["instance_id"]
    assert content(endpoint_of(api.wait_active(new_id))) == before
    for instance in (instance_id, new_id):
        api.delete(instance)
    kept = {(row["instance_id"], row["db_name"]) for row in service.admin("recycle", "list")}
    assert kept == {(instance_id, "shop"), (instance_id, "other"), (new_id, "shop")}
    assert service.stop() == 0 and not service.leftovers()
