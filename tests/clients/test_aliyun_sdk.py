"""The vendor's Python SDK, unmodified: `aliyun-python-sdk-core` and
`aliyun-python-sdk-petadata`. Only the endpoint differs from the old service."""

import concurrent.futures
import importlib
import json
import pkgutil
import time
import uuid
import xml.etree.ElementTree as ElementTree

import pymysql
import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkpetadata.request import v20160101

from harness.api import endpoint_of, host_and_port, poll, utc
from scenario import work_in_sql

REQUESTS = {
    module.name.removesuffix("Request"): getattr(
        importlib.import_module(f"{v20160101.__name__}.{module.name}"), module.name
    )
    for module in pkgutil.iter_modules(v20160101.__path__)
    if module.name.endswith("Request")
}
PASSWORD = "Passw0rd!"


class Sdk:
    """An `AcsClient` and where its requests go."""

    def __init__(self, credentials, key_id=None, secret=None):
        self.credentials = credentials
        self.client = AcsClient(
            key_id or credentials["access_key_id"],
            secret or credentials["access_key_secret"],
            credentials["region_id"],
            verify=credentials["ca_file"],
            auto_retry=False,
        )

    def request(self, action, https=True, method=None, **parameters):
        request = REQUESTS[action]()
        host, port = host_and_port(self.credentials["https_endpoint" if https else "http_endpoint"])
        request.set_endpoint(f"{host}:{port}")
        request.set_protocol_type("https" if https else "http")
        if method:
            request.set_method(method)
        for name, value in parameters.items():
            # Through the SDK's own setter where it has one, so that its spelling is tested.
            setter = getattr(request, f"set_{name}", None)
            setter(value) if setter else request.add_query_param(name, value)
        return request

    def call(self, action, https=True, method=None, **parameters):
        request = self.request(action, https, method, **parameters)
        return json.loads(self.client.do_action_with_exception(request))

    def create(self, **overrides):
        parameters = {
            "ZoneId": self.credentials["zone_id"],
            "DBName": "shop",
            "NodeSpec": "petadata.s2.xlarge",
            "NodeNumber": "1",
            "AccountName": "alice",
            "AccountPassword": PASSWORD,
            **overrides,
        }
        return self.call("CreateInstance", **parameters)

    def wait_active(self, instance_id):
        def active():
            info = self.call("DescribeInstanceInfo", https=False, InstanceId=instance_id)
            return info if info["InstanceStatus"] == "ACTIVE" else None

        return poll(active, 60, f"{instance_id} did not become ACTIVE")

    def delete(self, instance_id):
        self.call("DeleteInstance", InstanceId=instance_id)
        poll(lambda: not self.exists(instance_id), 60, f"{instance_id} is still there")

    def exists(self, instance_id):
        try:
            self.call("DescribeInstanceInfo", https=False, InstanceId=instance_id)
            return True
        except ServerException as error:
            if error.get_error_code() == "InvalidDBInstanceId.NotFound":
                return False
            raise


@pytest.fixture
def sdk(credentials):
    return Sdk(credentials)


def refused(function, *arguments, **keywords):
    """The error that the SDK raises for an error answer."""
    with pytest.raises(ServerException) as caught:
        function(*arguments, **keywords)
    assert caught.value.get_request_id(), "the SDK found no RequestId"
    return caught.value


def connect(endpoint, user, password, **keywords):
    host, port = endpoint
    return pymysql.connect(host=host, port=port, user=user, password=password, connect_timeout=10, **keywords)


@pytest.mark.parametrize("network", ["Classic", "VPC"])
def test_from_order_to_gone(sdk, credentials, network):
    placed = {"NetworkType": network}
    if network == "VPC":
        placed |= {"VpcId": credentials["vpc_id"], "VSwitchId": credentials["vswitch_id"]}
    order = sdk.create(InstanceName="店铺 one", ClientToken=str(uuid.uuid4()), **placed)
    instance_id = order["InstanceId"]
    assert instance_id.startswith("pd-") and order["OrderId"].isdigit()

    info = sdk.wait_active(instance_id)
    assert info["InstanceName"] == "店铺 one"
    assert [item["DBName"] for item in info["Databases"]["Database"]] == ["shop"]
    item = info["NetworkInfoItems"]["NetworkInfoItem"][0]
    assert item["NetworkType"] == ("VPC" if network == "VPC" else "INTERNAL")
    if network == "VPC":
        assert (item["VpcId"], item["VSwitchId"]) == (credentials["vpc_id"], credentials["vswitch_id"])
        assert item["Port"] == "3306"
    endpoint = endpoint_of(info)

    # ACTIVE means that a client connects, at once.
    with connect(endpoint, "alice", PASSWORD, database="shop") as connection:
        work_in_sql(connection, "goods")

    listed = sdk.call("DescribeInstances", https=False, PageSize=50)
    [row] = [row for row in listed["Instances"]["Instance"] if row["InstanceId"] == instance_id]
    assert row["InstanceStatus"] == "ACTIVE" and row["NetworkType"] == network
    assert (row["ConnectionString"], int(row["Port"])) == endpoint
    assert row["Databases"]["Database"] == [{"DBName": "shop", "ChargeType": "PostPaid"}]
    assert row["ExpireTime"] == "2999-09-08T16:00:00Z"

    sdk.call("ModifyInstanceName", InstanceId=instance_id, NewInstanceName="renamed")
    assert sdk.call("DescribeInstanceInfo", InstanceId=instance_id)["InstanceName"] == "renamed"

    changed = sdk.call("ModifySecurityIPs", InstanceId=instance_id, ModifyMode="1", SecurityIPList="10.23.12.24/24")
    assert set(changed["SecurityIPList"].split(",")) == {"127.0.0.1", "10.23.12.24/24"}
    groups = sdk.call("DescribeSecurityIPs", InstanceId=instance_id)
    assert groups["SecurityIPList"] == changed["SecurityIPList"]
    assert groups["SecurityIPs"]["SecurityIpGroup"][0]["SecurityIPListName"] == "default"

    sdk.call(
        "CreateAccount", InstanceId=instance_id, AccountName="bob", AccountPassword="S3cret_bob",
        DBInfo=json.dumps({"ReadOnly": ["shop"]}), AccountDescription="reads",
    )  # fmt: skip
    accounts = sdk.call("DescribeAccounts", InstanceId=instance_id)["AccountList"]["Account"]
    bob = next(account for account in accounts if account["AccountName"] == "bob")
    assert bob["AccountStatus"] == "ACTIVE" and bob["AccountDescription"] == "reads"
    [grant] = bob["DatabasePrivileges"]["DatabasePrivilege"]
    assert (grant["DBName"], grant["AccountPrivilege"]) == ("shop", "ReadOnly")
    with connect(endpoint, "bob", "S3cret_bob", database="shop") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT COUNT(*) FROM goods")
        assert cursor.fetchone() == (2,)
        with pytest.raises(pymysql.err.OperationalError) as caught:
            cursor.execute("DELETE FROM goods")
        assert caught.value.args[0] == 1142

    sdk.call("DeleteAccount", InstanceId=instance_id, AccountName="bob")
    names = [account["AccountName"] for account in sdk.call("DescribeAccounts", InstanceId=instance_id)["AccountList"]["Account"]]
    assert names == ["alice"]
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(endpoint, "bob", "S3cret_bob")
    assert caught.value.args[0] == 1045

    [database] = sdk.call("DescribeDatabases", InstanceId=instance_id)["Databases"]["Database"]
    assert (database["DBName"], database["DBStatus"], database["NodeNumber"]) == ("shop", "ACTIVE", 1)
    assert database["InstanceId"] == instance_id and database["SourceInstanceId"] == ""

    now = time.time()
    tasks = sdk.call(
        "DescribeTasks", InstanceId=instance_id, Status="2", StartTime=utc(now - 600), EndTime=utc(now + 600),
        PageNumbers=1, MaxRecordsPerPage=30,
    )["Tasks"]["Task"]  # fmt: skip
    [created] = [task for task in tasks if task["TaskAction"] == "CreateInstance"]
    task = sdk.call("DescribeTaskStatus", InstanceId=instance_id, TaskId=created["TaskId"])
    assert task["Status"] == "2" and task["FinishTime"] >= task["BeginTime"]

    sdk.delete(instance_id)
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connect(endpoint, "alice", PASSWORD)
    assert caught.value.args[0] in (2003, 2013)
    for action, extra in [
        ("DeleteInstance", {}), ("DescribeDatabases", {}), ("DescribeAccounts", {}), ("DescribeSecurityIPs", {}),
        ("ModifyInstanceName", {"NewInstanceName": "x"}),
    ]:  # fmt: skip
        error = refused(sdk.call, action, InstanceId=instance_id, **extra)
        assert (error.get_http_status(), error.get_error_code()) == (404, "InvalidDBInstanceId.NotFound"), action


def test_regions(sdk, credentials):
    regions = sdk.call("DescribeRegions", https=False)["Regions"]["Region"]
    zones = {
        region["RegionId"]: [zone["ZoneId"] for zone in region["Zones"]["Zone"]] for region in regions
    }
    assert credentials["zone_id"] in zones[credentials["region_id"]]
    assert {"cn-hangzhou", "cn-beijing"} <= set(zones)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("https", [False, True])
def test_either_method_on_either_protocol(sdk, method, https):
    assert sdk.call("DescribeInstances", https=https, method=method)["PageNumber"] == 1


def test_a_retried_order_creates_once(sdk):
    token = str(uuid.uuid4())
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        orders = [order.result() for order in [pool.submit(sdk.create, ClientToken=token) for _ in range(6)]]
    instance_id = orders[0]["InstanceId"]
    assert {order["InstanceId"] for order in orders} == {instance_id}
    assert len({order["OrderId"] for order in orders}) == 1
    assert len({order["RequestId"] for order in orders}) == 6
    error = refused(sdk.create, ClientToken=token, DBName="other")
    assert (error.get_http_status(), error.get_error_code()) == (400, "IdempotentParameterMismatch")
    error = refused(sdk.create, ClientToken=token, AccountPassword="An0ther!pw")
    assert error.get_error_code() == "IdempotentParameterMismatch"
    sdk.wait_active(instance_id)
    token = str(uuid.uuid4())
    for _ in range(2):
        sdk.call("DeleteInstance", InstanceId=instance_id, ClientToken=token)
    poll(lambda: not sdk.exists(instance_id), 60, "still there")
    # The order's result stays what it was, also when the instance is gone.
    sdk.call("DeleteInstance", InstanceId=instance_id, ClientToken=token)


def test_a_wrong_secret(credentials):
    error = refused(Sdk(credentials, secret="wrong").call, "DescribeInstances", https=False)
    assert (error.get_http_status(), error.get_error_code()) == (400, "IncompleteSignature")
    assert "wrong" not in str(error) and credentials["access_key_secret"] not in str(error)


def test_an_unknown_access_key(credentials):
    error = refused(Sdk(credentials, key_id="LTAInobody").call, "DescribeInstances", https=False)
    assert (error.get_http_status(), error.get_error_code()) == (404, "InvalidAccessKeyId.NotFound")


def test_a_password_over_plain_http_is_refused(sdk):
    for action in ["CreateInstance", "CreateAccount"]:
        error = refused(sdk.call, action, https=False, AccountPassword=PASSWORD)
        assert (error.get_http_status(), error.get_error_code()) == (400, "InvalidProtocol.NeedSsl"), action


@pytest.mark.parametrize(
    ("wrong", "code", "status"),
    [
        ({"NodeNumber": "129"}, "InvalidNodeNumber.Malformed", 400),
        ({"NodeNumber": "many"}, "InvalidNodeNumber.Malformed", 400),
        ({"NodeSpec": "petadata.c2.xlarge"}, "InvalidDBInstanceClassInRegion.NotAvailable", 403),
        ({"NodeSpec": "nonsense"}, "InvalidNodeSpec.ValueNotSupported", 400),
        ({"AccountPassword": "tooeasy"}, "InvalidAccountPassword.Malformed", 400),
        ({"AccountName": "root"}, "InvalidAccountName.keyword", 400),
        ({"AccountName": "9lives"}, "InvalidAccountName.Malformed", 400),
        ({"DBName": "Shop-1"}, "InvalidDBName.Malformed", 400),
        ({"NetworkType": "Moon"}, "InvalidNetworkType.ValueNotSupported", 400),
        ({"NetworkType": "VPC", "VpcId": "vpc-none", "VSwitchId": "vsw-none"}, "InvalidVPCId.NotFound", 400),
        ({"SecurityIPList": "300.1.1.1"}, "InvalidSecurityIPList.Malformed", 400),
        ({"ZoneId": "cn-atlantis-z"}, "InvalidRegionId.NotFound", 404),
        ({"DBName": ""}, "MissingParameter", 400),
    ],
)
def test_a_wrong_order_creates_nothing(sdk, wrong, code, status):
    before = sdk.call("DescribeInstances")["TotalCount"]
    error = refused(sdk.create, **wrong)
    assert (error.get_error_code(), error.get_http_status()) == (code, status), error
    assert sdk.call("DescribeInstances")["TotalCount"] == before


def test_xml(sdk):
    request = sdk.request("DescribeRegions", https=False)
    request.set_accept_format("XML")
    status, headers, body = sdk.client.get_response(request)
    assert status == 200 and headers["Content-Type"] == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(body)
    assert root.tag == "DescribeRegionsResponse" and root.find("RequestId").text
    assert root.find("Regions/Region/RegionId").text
    assert root.find("Regions/Region/Zones/Zone/VpcEnabled").text in ("true", "false")
    assert b"\n" not in body.split(b"?>", 1)[-1].strip()

    request = sdk.request("DescribeInstanceInfo", https=False, InstanceId="pd-nobody")
    request.set_accept_format("XML")
    status, headers, body = sdk.client.get_response(request)
    assert status == 404 and headers["Content-Type"] == "text/xml;charset=utf-8"
    root = ElementTree.fromstring(body)
    assert root.tag == "Error" and root.find("Code").text == "InvalidDBInstanceId.NotFound"
    assert {child.tag for child in root} >= {"RequestId", "HostId", "Code", "Message"}


def test_paging(sdk, instance):
    first = sdk.call("DescribeInstances", PageNumber=1, PageSize=10)
    assert first["PageSize"] == 10 and first["TotalCount"] >= 1
    beyond = sdk.call("DescribeInstances", PageNumber=1000, PageSize=50)
    assert beyond["Instances"] == {"Instance": []} and beyond["TotalCount"] == first["TotalCount"]
    one = sdk.call("DescribeInstances", InstanceId=instance.id)
    assert [row["InstanceId"] for row in one["Instances"]["Instance"]] == [instance.id]
    error = refused(sdk.call, "DescribeInstances", PageSize=7)
    assert error.get_error_code() == "InvalidPageSize.ValueNotSupported"
