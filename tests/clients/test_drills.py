"""What a drill finds is told everywhere: by the API, the commands, the metrics and the events. And what a restore takes along of its source
besides the content: the whitelist."""

import re

import pymysql
import pytest

from harness.api import endpoint_of, poll
from test_disaster import PASSWORD, SCHEMA, back_up, connect, content, ordered, run
from test_download import item

EVENT = ["event", "list", "--kind", "drill-failed"]


def sets(service, backup_id):
    """The set, as the operator is told of it."""
    (row,) = [row for row in service.admin("backup", "list") if row["backup_id"] == backup_id]
    return row


def drills(api):
    """How many sets a drill came to what end for."""
    status, _, text = api.raw("GET", "/metrics")
    assert status == 200
    found = re.findall(r'^openpeta_backup_drills\{outcome="(\w+)"\} (\d+)', text.decode(), re.MULTILINE)
    return {outcome: int(count) for outcome, count in found}


def damage(service, instance_id, backup_id):
    """Makes one byte of the data another one."""
    data = service.data_dir / "backups" / instance_id / backup_id / "dump.sql.zst"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)


def test_a_drill_that_fails_is_told_everywhere(own):
    service = own().start()
    api = service.api()
    instance_id, at = ordered(api)
    run(at, *SCHEMA)
    backup_id = back_up(api, instance_id)
    assert drills(api) == {"proven": 0, "failed": 0, "untried": 1}

    service.admin("backup", "verify", backup_id)
    poll(lambda: sets(service, backup_id)["verified_at"], 60, "the set is not proven")
    assert sets(service, backup_id)["verify_failure"] is None
    assert item(service, instance_id, backup_id).get("VerifyFailure", "") == ""
    poll(lambda: drills(api) == {"proven": 1, "failed": 0, "untried": 0}, 30, lambda: str(drills(api)))
    assert service.admin(*EVENT) == []

    damage(service, instance_id, backup_id)
    service.admin("backup", "verify", backup_id)
    failure = poll(lambda: sets(service, backup_id)["verify_failure"], 60, "the damage is not found")
    assert "damaged" in failure and "dump.sql.zst" in failure
    told = item(service, instance_id, backup_id)
    assert told["VerifyFailure"] == failure and told["VerifiedTime"], told
    assert told["BackupStatus"] == "Success", "it is for the operator to judge"
    poll(lambda: drills(api) == {"proven": 0, "failed": 1, "untried": 0}, 30, lambda: str(drills(api)))
    (event,) = service.admin(*EVENT)
    assert (event["instance_id"], event["db_name"], event["severity"]) == (instance_id, "shop", "critical"), event
    assert failure in str(event), event
    # Nothing of the attempt is left, and the content is where it was.
    assert [node["instance_id"] for node in service.admin("node", "list") if node["instance_id"]] == [instance_id]
    assert content(at)["item"][0] == 2000
    api.delete(instance_id)


def test_the_whitelist_of_the_source_comes_along(own):
    service = own().start()
    api = service.api()
    instance_id, at = ordered(api)
    run(at, *SCHEMA[:2])
    backup_id = back_up(api, instance_id)
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPList="127.7.7.0/24")
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPListName="office", SecurityIPList="127.0.0.5")
    lists = api.call("DescribeSecurityIPs", InstanceId=instance_id)
    answer = api.call("RestoreDatabase", SrcInstanceId=instance_id, SrcDBName="shop", BackupId=backup_id, WithAccounts="true")
    copy = answer["NewInstanceId"]
    info = api.wait_active(copy)
    copied = api.call("DescribeSecurityIPs", InstanceId=copy)
    del lists["RequestId"], copied["RequestId"]
    assert "office" in str(lists) and {**copied, "InstanceId": ""} == {**lists, "InstanceId": ""}
    address = endpoint_of(info)
    for source, enters in (("127.7.7.9", True), ("127.0.0.5", True), ("127.0.0.1", False)):
        host, port = address
        login = {"host": host, "port": port, "user": "alice", "password": PASSWORD, "database": "shop", "bind_address": source}
        if enters:
            pymysql.connect(**login).close()
        else:
            with pytest.raises(pymysql.err.OperationalError) as refused:
                pymysql.connect(**login)
            assert refused.value.args[0] == 1130
    # They are two lists from then on.
    api.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPList="127.0.0.1")
    connect(at).close()
    with pytest.raises(pymysql.err.OperationalError):
        connect(address)
    for each in (copy, instance_id):
        api.delete(each)
