"""Backups from the policy to the switch and back, by the vendor's SDK alone; and a host whose disk is full while a set is taken."""

import json
import os
import subprocess

import pymysql
import pytest
from aliyunsdkcore.request import CommonRequest

from harness.api import endpoint_of, host_and_port, poll
from test_aliyun_sdk import PASSWORD, Sdk, refused
from test_disaster import back_up, run

ALWAYS = {"StartTime": "2019-01-01T00:00Z", "EndTime": "2999-01-01T00:00Z"}


@pytest.fixture
def sdk(credentials):
    return Sdk(credentials)


def rows(endpoint):
    host, port = endpoint
    session = pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True)
    with session, session.cursor() as cursor:
        cursor.execute("SELECT v FROM item ORDER BY v")
        return [v for (v,) in cursor.fetchall()]


def sets(sdk, instance_id, **more):
    answer = sdk.call("DescribeDatabaseBackup", InstanceId=instance_id, DBName="shop", **ALWAYS, **more)
    return answer["BackupItems"]["Backup"]


def switch(sdk, **parameters):
    """An action that its package does not know, as its core calls any."""
    host, port = host_and_port(sdk.credentials["https_endpoint"])
    request = CommonRequest(domain=f"{host}:{port}", version="2016-01-01", action_name="SwitchBackupDatabase")
    request.set_protocol_type("https")
    request.set_method("POST")
    for name, value in parameters.items():
        request.add_query_param(name, value)
    return json.loads(sdk.client.do_action_with_exception(request))


def test_the_whole_flow_by_the_sdk(sdk):
    source = sdk.create()["InstanceId"]
    at = endpoint_of(sdk.wait_active(source))
    run(at, "CREATE TABLE item (v INT PRIMARY KEY)", "INSERT INTO item VALUES (1), (2)")
    sdk.call(
        "ModifyBackupPolicy",
        InstanceId=source, DBName="shop", PreferredBackupPeriod="Monday,Thursday", PreferredBackupTime="18:00Z-20:00Z",
        BackupRetentionPeriod="30", EnableBinlogBackup="true",
    )  # fmt: skip
    policy = sdk.call("DescribeBackupPolicy", InstanceId=source, DBName="shop")
    found = {name: str(policy[name]) for name in ("PreferredBackupPeriod", "PreferredBackupTime", "BackupRetentionPeriod")}
    assert found == {
        "PreferredBackupPeriod": "Monday,Thursday", "PreferredBackupTime": "18:00Z-20:00Z", "BackupRetentionPeriod": "30",
    }, policy  # fmt: skip
    begun = sdk.call("CreateDatabaseBackup", InstanceId=source, DBName="shop")["BackupId"]
    again = refused(sdk.call, "CreateDatabaseBackup", InstanceId=source, DBName="shop")
    # It may be through already.
    assert again.get_error_code() == "OperationDenied.BackupJobExists"
    (one,) = poll(
        lambda: [one for one in sets(sdk, source, BackupStatus="Success") if str(one["BackupId"]) == str(begun)], 60, "no set"
    )
    assert one["BackupMode"] == "Manual" and one["BackupSize"] > 0 and one["BackupDownloadURL"].startswith("https://")
    run(at, "INSERT INTO item VALUES (3)")

    answer = sdk.call("RestoreDatabase", SrcInstanceId=source, SrcDBName="shop", BackupId=begun, WithAccounts="true")
    copy = answer["NewInstanceId"]
    assert rows(endpoint_of(sdk.wait_active(copy))) == [1, 2]
    swap = {"SourceInstanceId": source, "NewInstanceId": copy, "DBName": "shop"}
    for there, other in (([1, 2], [1, 2, 3]), ([1, 2, 3], [1, 2])):
        switch(sdk, **swap)
        assert rows(endpoint_of(sdk.wait_active(source))) == there
        assert rows(endpoint_of(sdk.wait_active(copy))) == other
    for instance_id in (copy, source):
        sdk.delete(instance_id)


def test_a_full_disk_is_told_and_leaves_nothing(own, tmp_path):
    """The directory of sets is a disk of its own, which is too small at first."""
    service = own({"backup": {"recycle_days": 0}}).start()
    api = service.api()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    at = endpoint_of(api.wait_active(instance_id))
    run(at, "CREATE TABLE item (id INT PRIMARY KEY, b LONGBLOB)")
    host, port = at
    session = pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", autocommit=True)
    with session, session.cursor() as cursor:
        for row in range(8):
            cursor.execute("INSERT INTO item VALUES (%s, %s)", (row, os.urandom(1 << 20)))
    directory = service.data_dir / "backups"
    directory.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "openpeta-test", directory], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        for method in ("Logical", "Physical"):
            begun = api.call("CreateDatabaseBackup", InstanceId=instance_id, DBName="shop", BackupMethod=method)["BackupId"]

            def ended(begun=begun):
                found = [one for one in service.admin("backup", "list") if one["backup_id"] == str(begun)]
                return found[0] if found[0]["status"] != "Progress" else None

            failed = poll(ended, 120, "it goes on")
            assert (failed["status"], failed["failure"]) == ("Failed", "The host has no disk space left."), failed
            assert [path for path in directory.rglob("*") if path.is_file()] == [], json.dumps(failed)
    finally:
        subprocess.run(["umount", "-l", directory], check=True)
    back_up(api, instance_id)
    api.delete(instance_id)
