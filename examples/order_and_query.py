#!/usr/bin/env python3
"""Orders an instance with the vendor's SDK, waits until it is ACTIVE, connects, deletes it."""

import json
import os
import pathlib
import time

import pymysql
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkpetadata.request.v20160101.CreateInstanceRequest import CreateInstanceRequest
from aliyunsdkpetadata.request.v20160101.DeleteInstanceRequest import DeleteInstanceRequest
from aliyunsdkpetadata.request.v20160101.DescribeInstanceInfoRequest import DescribeInstanceInfoRequest

DATA_HOME = os.environ.get("XDG_DATA_HOME", pathlib.Path.home() / ".local/share")
DATA_DIR = pathlib.Path(os.environ.get("OPENPETA_DATA_DIR", pathlib.Path(DATA_HOME) / "openpeta"))
PASSWORD = "Passw0rd!"

credentials = json.loads((DATA_DIR / "credentials.json").read_text())
client = AcsClient(
    credentials["access_key_id"],
    credentials["access_key_secret"],
    credentials["region_id"],
    verify=credentials["ca_file"],
)


def call(request, **parameters):
    """Sends a request of the SDK to this service instead of to the old one."""
    request.set_endpoint(credentials["https_endpoint"].removeprefix("https://"))
    request.set_protocol_type("https")
    for name, value in parameters.items():
        request.add_query_param(name, value)
    return json.loads(client.do_action_with_exception(request))


instance_id = call(
    CreateInstanceRequest(),
    ZoneId=credentials["zone_id"],
    DBName="shop",
    NodeSpec="petadata.s2.xlarge",
    NodeNumber="1",
    AccountName="alice",
    AccountPassword=PASSWORD,
)["InstanceId"]
print("ordered", instance_id)

while (info := call(DescribeInstanceInfoRequest(), InstanceId=instance_id))["InstanceStatus"] != "ACTIVE":
    time.sleep(0.1)
endpoint = info["NetworkInfoItems"]["NetworkInfoItem"][0]
print("listens on", endpoint["ConnectionString"], endpoint["Port"])

with pymysql.connect(
    host=endpoint["ConnectionString"], port=int(endpoint["Port"]), user="alice", password=PASSWORD, database="shop"
) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT VERSION(), CURRENT_USER(), DATABASE()")
    print("answers", *cursor.fetchone())

call(DeleteInstanceRequest(), InstanceId=instance_id)
while True:
    try:
        call(DescribeInstanceInfoRequest(), InstanceId=instance_id)
    except ServerException as error:
        assert error.get_error_code() == "InvalidDBInstanceId.NotFound", error
        break
    time.sleep(0.1)
print("deleted", instance_id)
