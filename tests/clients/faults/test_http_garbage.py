"""Bad requests: a documented error, never a 5xx, never a hang, and others are served."""

import json
import random
import socket
import ssl
import time
import xml.etree.ElementTree as ElementTree

import pytest

from harness.api import Api, host_and_port, query_of, signed_parameters


def exchange(credentials, request, https=False, timeout=20):
    """Sends bytes, returns all that comes back until the server closes."""
    address = host_and_port(credentials["https_endpoint" if https else "http_endpoint"])
    with socket.create_connection(address, timeout=timeout) as plain:
        connection = plain
        if https:
            context = ssl.create_default_context(cafile=credentials["ca_file"])
            connection = context.wrap_socket(plain, server_hostname=address[0])
        answer = b""
        try:
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            # The server had enough before all was sent.
            pass
        return answer


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def get(target, *headers):
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def signed(credentials, action="DescribeInstances", method="GET", parameters=None, **common):
    return signed_parameters(
        action, parameters or {}, credentials["access_key_id"], credentials["access_key_secret"], method, **common
    )


def error_code(answer):
    """The code of an error answer in either format."""
    body = answer.split(b"\r\n\r\n", 1)[1]
    if body.lstrip().startswith(b"{"):
        return json.loads(body)["Code"]
    return ElementTree.fromstring(body).find("Code").text


@pytest.fixture(autouse=True)
def still_serves(api):
    """Whatever a test did, the service answers afterwards."""
    yield
    assert api.call("DescribeRegions")["RequestId"]


@pytest.mark.parametrize(
    "target",
    [
        b"/?Action=%ZZ", b"/?Action=%", b"/?%ff%fe=1", b"/?Action=%C3%28", b"/?=&&&==", b"/?" + b"a=1&" * 5000,
        b"/?Action=DescribeInstances&Action=DescribeRegions", b"/?Signature", b"/" + b"x" * 60_000, b"/" + b"?" * 1000,
        b"/?Action=" + b"A" * 40_000, b"/../../etc/passwd", b"/?Action=\xe4\xb8\xad",
    ],
    ids=range(13),
)  # fmt: skip
def test_bad_targets(credentials, target):
    answer = exchange(credentials, get(target))
    assert status_of(answer) is not None and 400 <= status_of(answer) < 500, answer[:300]


def test_a_parameter_twice_is_refused(credentials):
    query = query_of(signed(credentials)) + "&PageSize=10&PageSize=20"
    assert 400 <= status_of(exchange(credentials, get(b"/?" + query.encode()))) < 500


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
def test_other_methods(credentials, method):
    query = query_of(signed(credentials, method=method)).encode()
    answer = exchange(credentials, get(b"/?" + query).replace(b"GET", method.encode(), 1))
    assert 400 <= status_of(answer) < 500
    assert error_code(answer) == "UnsupportedHTTPMethod"


def test_times_and_nonces(credentials):
    for common, code in [
        ({"Timestamp": "yesterday"}, "IllegalTimestamp"), ({"Timestamp": "2016-01-01T00:00:00Z"}, "IllegalTimestamp"),
        ({"Version": "2014-08-15"}, "InvalidParameter"), ({"Format": "YAML"}, "InvalidFormat"),
        ({"SignatureMethod": "HMAC-MD5"}, "InvalidSignatureMethod"), ({"Action": "Explode"}, "InvalidAction"),
        ({"SignatureNonce": ""}, "MissingParameter"), ({"AccessKeyId": ""}, "MissingParameter"),
    ]:  # fmt: skip
        answer = exchange(credentials, get(b"/?" + query_of(signed(credentials, **common)).encode()))
        assert 400 <= status_of(answer) < 500 and error_code(answer).startswith(code), (common, answer)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00" * 64, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, b"HELO example.org\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffff1\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n" + b"a" * 1000,
        b"\r\n" * 1000,
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_not_http(own_limits, request_bytes):
    answer = exchange(own_limits.credentials, request_bytes)
    assert status_of(answer) is None or 400 <= status_of(answer) < 500, answer[:300]


@pytest.fixture(scope="module")
def own_limits():
    """A service that loses its patience soon."""
    from harness.service import Service

    short = {"first_request_seconds": 2, "idle_seconds": 2, "body_seconds": 2}
    service = Service({"api": {"limits": short}})
    try:
        service.start()
        yield service
        assert service.stop() == 0
    finally:
        service.destroy()


@pytest.mark.parametrize("https", [False, True])
def test_slow_clients_are_let_go(own_limits, https):
    credentials = own_limits.credentials
    address = host_and_port(credentials["https_endpoint" if https else "http_endpoint"])
    silent = [socket.create_connection(address, timeout=20) for _ in range(50)]
    slow = socket.create_connection(address, timeout=20)
    body = socket.create_connection(host_and_port(credentials["http_endpoint"]), timeout=20)
    body.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\nA")
    start = time.monotonic()
    # Others do not wait for them.
    assert Api(credentials).call("DescribeRegions")["RequestId"]
    assert time.monotonic() - start < 2
    try:
        while time.monotonic() - start < 15:
            slow.sendall(b"G")
            body.sendall(b"A")
            time.sleep(0.2)
        pytest.fail("one byte at a time was taken for 15 s")
    except OSError:
        pass
    for connection in silent:
        # Let go too, with or without a word.
        while connection.recv(1024):
            pass
        connection.close()
    assert time.monotonic() - start < 15
    slow.close()
    body.close()


def test_the_wrong_protocol_on_a_port(credentials):
    plain_on_tls = host_and_port(credentials["https_endpoint"])
    with socket.create_connection(plain_on_tls, timeout=20) as connection:
        connection.sendall(get(b"/"))
        answer = connection.recv(4096)
        assert not answer.startswith(b"HTTP/1.1 2")


def test_an_oversized_body(credentials):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    for size in [1 << 20, 32 << 20]:
        answer = exchange(credentials, head + b"Content-Length: %d\r\n\r\n" % size + b"a" * min(size, 4 << 20))
        assert status_of(answer) in (None, 400, 413), answer[:200]


def test_mutations_of_signed_requests(credentials):
    """Bytes of good requests changed at random: an answer below 500 to each."""
    chance = random.Random(7)
    address = host_and_port(credentials["http_endpoint"])
    seen = set()
    for _ in range(1500):
        parameters = signed(credentials, chance.choice(["DescribeInstances", "DescribeTasks", "ModifySecurityIPs"]))
        request = bytearray(get(b"/?" + query_of(parameters).encode()))
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(request))
            match chance.randrange(3):
                case 0:
                    request[place] = chance.randrange(256)
                case 1:
                    del request[place : place + chance.randrange(1, 20)]
                case _:
                    request[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 10)))
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(request)
            # A request whose end was lost would wait for more.
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            try:
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionResetError:
                pass
        status = status_of(answer)
        assert status is None or status < 500, (bytes(request), answer)
        seen.add(status)
    assert {400, 403} & seen, seen
