"""A small client of the signed API, written from the API document alone.

The tests of SDKs use the SDKs; this one serves fixtures, benchmarks and the tests that need
requests which no SDK would send."""

import base64
import hashlib
import hmac
import http.client
import json
import ssl
import time
import urllib.parse
import uuid

VERSION = "2016-01-01"


class ApiError(Exception):
    """An error answer: `code`, `message`, `status`, `request_id`."""

    def __init__(self, status, body):
        self.status = status
        self.code = body.get("Code")
        self.message = body.get("Message")
        self.request_id = body.get("RequestId")
        super().__init__(f"{status} {self.code}: {self.message} ({self.request_id})")


def percent_encode(text):
    """Encoding of names and values as the signature wants it."""
    return urllib.parse.quote(str(text), safe="-_.~")


def string_to_sign(method, parameters):
    """What signature version 1 signs."""
    canonical = "&".join(
        f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(parameters.items())
    )
    return f"{method}&%2F&{percent_encode(canonical)}"


def sign(method, parameters, secret):
    """Signature version 1: HMAC-SHA1 in Base64."""
    text = string_to_sign(method, parameters)
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def utc(seconds=None):
    """A time as the API writes it; now unless given."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def signed_parameters(action, parameters, key_id, secret, method="GET", **common):
    """All parameters of a call, `Signature` included. `common` overrides common ones."""
    everything = {
        "Action": action,
        "Version": VERSION,
        "Format": "JSON",
        "AccessKeyId": key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": str(uuid.uuid4()),
        "Timestamp": utc(),
        **{name: str(value) for name, value in parameters.items()},
        **common,
    }
    everything["Signature"] = sign(method, everything, secret)
    return everything


def query_of(parameters):
    """Parameters as a query string."""
    return "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in parameters.items())


class Api:
    """Calls the API over HTTPS with one access key. Not for use by several threads."""

    def __init__(self, credentials, timeout=30):
        self.credentials = credentials
        self.timeout = timeout
        self._connection = None

    def raw(self, method, path, body=None, headers=None, https=True):
        """One exchange on a connection of its own: status, headers, body."""
        connection = self._connect(https)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def call(self, action, **parameters):
        """A signed GET; returns the answer or raises `ApiError`. Keeps its connection."""
        signed = signed_parameters(
            action, parameters, self.credentials["access_key_id"], self.credentials["access_key_secret"]
        )
        path = "/?" + query_of(signed)
        reused = self._connection is not None
        if not reused:
            self._connection = self._connect(True)
        try:
            self._connection.request("GET", path)
            answer = self._connection.getresponse()
            status, body = answer.status, answer.read()
        except (http.client.HTTPException, OSError):
            self.close()
            # A kept connection may have been closed meanwhile; the request did not get through.
            if reused:
                return self.call(action, **parameters)
            raise
        document = json.loads(body)
        if status != 200:
            raise ApiError(status, document)
        return document

    def close(self):
        """Closes the kept connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, https):
        endpoint = self.credentials["https_endpoint" if https else "http_endpoint"]
        host, port = host_and_port(endpoint)
        if https:
            context = ssl.create_default_context(cafile=self.credentials["ca_file"])
            return http.client.HTTPSConnection(host, port, timeout=self.timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=self.timeout)

    # What every scenario does.

    def order(self, **overrides):
        """CreateInstance with sensible values; returns the answer."""
        parameters = {
            "RegionId": self.credentials["region_id"],
            "ZoneId": self.credentials["zone_id"],
            "DBName": "shop",
            "NodeSpec": "petadata.s2.xlarge",
            "NodeNumber": "1",
            "AccountName": "alice",
            "AccountPassword": "Passw0rd!",
            **overrides,
        }
        return self.call("CreateInstance", **parameters)

    def info(self, instance_id):
        """DescribeInstanceInfo."""
        return self.call("DescribeInstanceInfo", InstanceId=instance_id)

    def wait_active(self, instance_id, timeout=60):
        """Polls until the instance is ACTIVE; returns its info."""
        return poll(
            lambda: (lambda info: info if info["InstanceStatus"] == "ACTIVE" else None)(self.info(instance_id)),
            timeout,
            lambda: f"{instance_id} did not become ACTIVE: {self.info(instance_id)}, tasks {self.tasks(instance_id)}",
        )

    def wait_gone(self, instance_id, timeout=60):
        """Polls until the instance is not found any more."""
        poll(lambda: not self.exists(instance_id), timeout, lambda: f"{instance_id} is still there")

    def exists(self, instance_id):
        """Whether the instance is known."""
        try:
            self.info(instance_id)
            return True
        except ApiError as error:
            if error.code == "InvalidDBInstanceId.NotFound":
                return False
            raise

    def tasks(self, instance_id):
        """All tasks of the last hour, in whatever status."""
        now = time.time()
        return self.call(
            "DescribeTasks",
            InstanceId=instance_id,
            StartTime=utc(now - 3600),
            EndTime=utc(now + 3600),
            TaskStatus="0,1,2,3,4,5",
            PageNumbers=1,
            MaxRecordsPerPage=1000,
        )["Tasks"]["Task"]

    def instances(self):
        """Ids of all instances."""
        found, page = [], 1
        while True:
            answer = self.call("DescribeInstances", PageNumber=page, PageSize=50)
            found += [item["InstanceId"] for item in answer["Instances"]["Instance"]]
            if len(found) >= answer["TotalCount"] or not answer["Instances"]["Instance"]:
                return found
            page += 1

    def delete(self, instance_id, timeout=60):
        """DeleteInstance, then waits until it is gone."""
        self.call("DeleteInstance", InstanceId=instance_id)
        self.wait_gone(instance_id, timeout)


def poll(condition, timeout, complaint, interval=0.02):
    """Waits until `condition()` is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(complaint() if callable(complaint) else complaint)
        time.sleep(interval)


def host_and_port(endpoint):
    """Host and port of `https://127.0.0.1:8443` or `127.0.0.1:8443`."""
    host, _, port = endpoint.split("://")[-1].rstrip("/").rpartition(":")
    return host, int(port)


def endpoint_of(info):
    """Host and port of an instance's first endpoint."""
    item = info["NetworkInfoItems"]["NetworkInfoItem"][0]
    return item["ConnectionString"], int(item["Port"])
