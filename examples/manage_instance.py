#!/usr/bin/env python3
"""The life of an instance with the vendor's SDK: order, whitelist, account, database, tags, backup, delete."""

import datetime
import json
import os
import pathlib
import time

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkpetadata.request.v20160101 import (
    CreateAccountRequest,
    CreateDatabaseBackupRequest,
    CreateDatabaseRequest,
    CreateInstanceRequest,
    DeleteInstanceRequest,
    DescribeDatabaseBackupRequest,
    DescribeDatabasesRequest,
    DescribeInstanceInfoRequest,
    DescribeInstancesRequest,
    ModifySecurityIPsRequest,
    TagResourcesRequest,
)

DATA_HOME = os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share")
DATA_DIR = pathlib.Path(os.environ.get("OPENPETA_DATA_DIR", pathlib.Path(DATA_HOME) / "openpeta"))
credentials = json.loads((DATA_DIR / "credentials.json").read_text())
client = AcsClient(
    credentials["access_key_id"],
    credentials["access_key_secret"],
    credentials["region_id"],
    verify=credentials["ca_file"],
)


def call(module, **parameters):
    """Sends the request that a module of the SDK defines to this service instead of to the old one."""
    request = getattr(module, module.__name__.rpartition(".")[2])()
    request.set_endpoint(credentials["https_endpoint"].removeprefix("https://"))
    request.set_protocol_type("https")
    for name, value in parameters.items():
        getattr(request, f"set_{name}")(value)
    return json.loads(client.do_action_with_exception(request))


def until(condition):
    """Waits until the condition holds."""
    while not condition():
        time.sleep(0.1)


def is_gone():
    try:
        call(DescribeInstanceInfoRequest, InstanceId=instance_id)
    except ServerException as error:
        return error.get_error_code() == "InvalidDBInstanceId.NotFound"
    return False


def is_active():
    return call(DescribeInstanceInfoRequest, InstanceId=instance_id)["InstanceStatus"] == "ACTIVE"


def databases():
    return call(DescribeDatabasesRequest, InstanceId=instance_id)["Databases"]["Database"]


instance_id = call(
    CreateInstanceRequest,
    ZoneId=credentials["zone_id"],
    DBName="shop",
    NodeSpec="petadata.s2.xlarge",
    NodeNumber="1",
    AccountName="alice",
    AccountPassword="Passw0rd!",
    ClientToken="order-of-the-shop",
)["InstanceId"]
until(is_active)
print("ordered", instance_id)

whitelist = call(ModifySecurityIPsRequest, InstanceId=instance_id, ModifyMode="1", SecurityIPList="10.0.0.0/8")
print("allows", whitelist["SecurityIPList"])

call(
    CreateAccountRequest,
    InstanceId=instance_id,
    AccountName="reader",
    AccountPassword="Passw0rd!",
    DBInfo=json.dumps({"ReadOnly": ["shop"]}),
)
print("lets in", "reader")

call(CreateDatabaseRequest, InstanceId=instance_id, DBName="books", NodeSpec="petadata.s2.xlarge", NodeNumber=1)
until(lambda: all(database["DBStatus"] == "ACTIVE" for database in databases()))
print("holds", *sorted(database["DBName"] for database in databases()))

call(TagResourcesRequest, ResourceType="dbinstance", ResourceIds=[instance_id], Tags=[{"Key": "team", "Value": "shop"}])
print("tagged", instance_id)

backup_id = call(CreateDatabaseBackupRequest, InstanceId=instance_id, DBName="shop")["BackupId"]
day = datetime.timedelta(days=1)
now = datetime.datetime.now(datetime.timezone.utc)


def backup():
    found = call(
        DescribeDatabaseBackupRequest,
        InstanceId=instance_id,
        DBName="shop",
        BackupId=backup_id,
        StartTime=(now - day).strftime("%Y-%m-%dT%H:%MZ"),
        EndTime=(now + day).strftime("%Y-%m-%dT%H:%MZ"),
    )
    return found["BackupItems"]["Backup"][0]


until(lambda: backup()["BackupStatus"] != "Progress")
print("backed up", backup()["BackupStatus"], backup()["BackupSize"])

call(DeleteInstanceRequest, InstanceId=instance_id)
until(is_gone)
print("deleted", instance_id)
