"""The newer Python client, `alibabacloud-tea-openapi`: signature ACS3-HMAC-SHA256, and
version 1 through its own spelling of it."""

import uuid

import pymysql
import pytest
from alibabacloud_tea_openapi import models
from alibabacloud_tea_openapi.client import Client
from darabonba.exceptions import DaraException
from darabonba.runtime import RuntimeOptions

from harness.api import endpoint_of, host_and_port, poll
from scenario import work_in_sql

PASSWORD = "Passw0rd!"


class Acs3:
    """Generic calls; parameters go into the query or into a form."""

    def __init__(self, credentials, place="query", algorithm=None, method="POST", secret=None):
        host, port = host_and_port(credentials["https_endpoint"])
        self.credentials = credentials
        self.place = place
        self.method = method
        self.client = Client(
            models.Config(
                access_key_id=credentials["access_key_id"],
                access_key_secret=secret or credentials["access_key_secret"],
                endpoint=f"{host}:{port}",
                region_id=credentials["region_id"],
                protocol="https",
                ca=credentials["ca_file"],
                signature_algorithm=algorithm,
            )
        )

    def call(self, action, **parameters):
        params = models.Params(
            action=action, version="2016-01-01", protocol="https", pathname="/", method=self.method,
            auth_type="AK", style="RPC", req_body_type="formData", body_type="json",
        )  # fmt: skip
        request = models.OpenApiRequest(**{self.place: parameters})
        answer = self.client.call_api(params, request, RuntimeOptions(read_timeout=30_000, connect_timeout=10_000))
        assert answer["statusCode"] == 200
        return answer["body"]

    def exists(self, instance_id):
        try:
            self.call("DescribeInstanceInfo", InstanceId=instance_id)
            return True
        except DaraException as error:
            assert error.code == "InvalidDBInstanceId.NotFound"
            return False


@pytest.mark.parametrize(
    ("place", "method", "algorithm"),
    [("body", "POST", None), ("query", "POST", None), ("query", "GET", None), ("body", "POST", "v2")],
    ids=["form", "query", "get", "v1-form"],
)
def test_create_connect_delete(credentials, place, method, algorithm):
    acs3 = Acs3(credentials, place, algorithm, method)
    order = acs3.call(
        "CreateInstance", RegionId=credentials["region_id"], ZoneId=credentials["zone_id"], DBName="shop",
        NodeSpec="petadata.s2.xlarge", NodeNumber="1", AccountName="carol", AccountPassword=PASSWORD,
        InstanceName="a b*~/+(x)!'中文", ClientToken=str(uuid.uuid4()),
    )  # fmt: skip
    instance_id = order["InstanceId"]

    def active():
        info = acs3.call("DescribeInstanceInfo", InstanceId=instance_id)
        return info if info["InstanceStatus"] == "ACTIVE" else None

    info = poll(active, 60, "did not become ACTIVE")
    assert info["InstanceName"] == "a b*~/+(x)!'中文"
    host, port = endpoint_of(info)
    with pymysql.connect(host=host, port=port, user="carol", password=PASSWORD, database="shop") as connection:
        work_in_sql(connection, "goods")
    acs3.call("CreateAccount", InstanceId=instance_id, AccountName="dave", AccountPassword=PASSWORD)
    acs3.call("DeleteAccount", InstanceId=instance_id, AccountName="dave")
    acs3.call("ModifySecurityIPs", InstanceId=instance_id, SecurityIPList="127.0.0.1,10.0.0.0/8")
    acs3.call("DeleteInstance", InstanceId=instance_id)
    poll(lambda: not acs3.exists(instance_id), 60, "still there")


def test_errors_are_read(credentials):
    with pytest.raises(DaraException) as caught:
        Acs3(credentials).call("DescribeInstanceInfo", InstanceId="pd-nobody")
    assert caught.value.code == "InvalidDBInstanceId.NotFound"
    assert caught.value.data["statusCode"] == 404
    with pytest.raises(DaraException) as caught:
        Acs3(credentials, secret="wrong").call("DescribeInstances")
    assert caught.value.code == "IncompleteSignature"
