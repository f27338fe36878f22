"""Bad bytes on an instance's port: the connection ends, memory stays bounded, other sessions
do not notice."""

import os
import pathlib
import random
import socket
import struct
import time

import pymysql
import pytest

from harness.api import endpoint_of
from harness.service import Service

PASSWORD = "Passw0rd!"


@pytest.fixture(scope="module")
def target():
    """A service with a short login time-out, its instance and a session that must survive."""
    service = Service({"gateway": {"login_seconds": 2}})
    try:
        service.start()
        api = service.api()
        instance_id = api.order()["InstanceId"]
        endpoint = endpoint_of(api.wait_active(instance_id))
        yield service, endpoint
        api.delete(instance_id)
        assert service.stop() == 0
        assert service.leftovers() == []
    finally:
        service.destroy()


def connect(endpoint, **keywords):
    host, port = endpoint
    return pymysql.connect(
        host=host, port=port, user="alice", password=PASSWORD, database="shop", connect_timeout=10, read_timeout=20,
        ssl_disabled=True, **keywords,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def bystander(target):
    """An open session that works before and after."""
    session = connect(target[1])
    yield session
    with session.cursor() as cursor:
        cursor.execute("SELECT 41 + 1")
        assert cursor.fetchone() == (42,)
    session.close()
    # And new ones can be had.
    connect(target[1]).close()


def memory(service):
    """Resident bytes of the service."""
    for line in pathlib.Path(f"/proc/{service.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def packet(sequence, body):
    return struct.pack("<I", len(body))[:3] + bytes([sequence]) + body


def login(capabilities=0x000FA68D, user=b"alice", answer=b"x" * 20):
    body = struct.pack("<IIB23x", capabilities, 1 << 24, 45) + user + b"\0" + bytes([len(answer)]) + answer
    return body + b"shop\0mysql_native_password\0"


def ends(endpoint, *pieces, timeout=8):
    """Reads the greeting, sends the pieces, and expects the end of the connection."""
    with socket.create_connection(endpoint, timeout=timeout) as connection:
        greeting = connection.recv(4096)
        assert greeting[4] == 10, greeting
        rest = b""
        start = time.monotonic()
        try:
            for piece in pieces:
                connection.sendall(piece)
            while data := connection.recv(65536):
                rest += data
        except (ConnectionResetError, BrokenPipeError):
            pass
        assert time.monotonic() - start < timeout
        return rest


def error_of(answer):
    return struct.unpack_from("<H", answer, 5)[0] if len(answer) > 7 and answer[4] == 0xFF else None


BEFORE_LOGIN = {
    "zeros": b"\0" * 100,
    "noise": random.Random(1).randbytes(5000),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "wrong-sequence": packet(9, login()),
    "sequence-zero": packet(0, login()),
    "empty-packet": packet(1, b""),
    "one-byte": packet(1, b"\x85"),
    "no-end-of-name": packet(1, struct.pack("<IIB23x", 0xFA68D, 1 << 24, 45) + b"a" * 500),
    "answer-longer-than-packet": packet(1, struct.pack("<IIB23x", 0xFA68D, 1 << 24, 45) + b"alice\0\xffxx"),
    "old-protocol": packet(1, b"\x85\x24\x00\x00\x00alice\0pass"),
    "tls-request-then-noise": packet(1, struct.pack("<IIB23x", 0xFAE8D, 1 << 24, 45)) + b"\x16\x03\x01\xff\xff" + b"z" * 500,
    "oversized": b"\xff\xff\xff\x01" + b"x" * (1 << 20),
    "attributes-that-lie": packet(1, login(0x001FA68D) + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("name", BEFORE_LOGIN)
def test_before_login(target, name):
    answer = ends(target[1], BEFORE_LOGIN[name])
    assert error_of(answer) in (None, 1043, 1045, 1156, 1158, 1159, 1161, 1153, 1251, 2027), answer


def test_a_client_that_says_nothing(target):
    start = time.monotonic()
    ends(target[1])
    assert 1 < time.monotonic() - start < 6


def test_a_client_that_says_little(target):
    with socket.create_connection(target[1], timeout=10) as connection:
        connection.recv(4096)
        start = time.monotonic()
        with pytest.raises(OSError):
            for byte in packet(1, login()) * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
                assert time.monotonic() - start < 6, "the time-out begins anew with each byte"


def test_many_that_stop_in_the_login(target, bystander):
    service, endpoint = target
    before = memory(service)
    half_open = [socket.create_connection(endpoint, timeout=10) for _ in range(300)]
    with bystander.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert memory(service) - before < 60 << 20
    for connection in half_open:
        connection.close()


def test_big_packets_before_login_take_no_memory(target):
    service, endpoint = target
    before = memory(service)
    half = []
    for _ in range(20):
        connection = socket.create_connection(endpoint, timeout=10)
        connection.recv(4096)
        try:
            connection.sendall(b"\xff\xff\xff\x01" + b"x" * (2 << 20))
        except OSError:
            pass
        half.append(connection)
    assert memory(service) - before < 30 << 20
    for connection in half:
        connection.close()


AFTER_LOGIN = {
    "wrong-sequence": packet(5, b"\x03SELECT 1"),
    "empty-packet": packet(0, b""),
    "noise": random.Random(2).randbytes(20_000),
    "truncated": b"\x20\x00\x00\x00\x03SELECT",
    "change-user-of-nothing": packet(0, b"\x11"),
    "change-user-that-lies": packet(0, b"\x11alice\0\xff" + b"x" * 10),
    "prepared-that-is-not": packet(0, b"\x17\xff\xff\xff\xff\0\1\0\0\0"),
    "fetch-of-nothing": packet(0, b"\x1c\1\0\0\0\1\0\0\0"),
    "long-data-too-short": packet(0, b"\x18\1"),
    "binlog-dump": packet(0, b"\x12" + b"\0" * 10),
}


@pytest.mark.parametrize("name", AFTER_LOGIN)
def test_after_login(target, name):
    session = connect(target[1])
    raw = session._sock
    raw.settimeout(10)
    answer = b""
    try:
        raw.sendall(AFTER_LOGIN[name])
        raw.shutdown(socket.SHUT_WR)
        while data := raw.recv(65536):
            answer += data
    except OSError as error:
        assert not isinstance(error, TimeoutError), "neither an answer nor an end"
    assert error_of(answer) or not answer or name == "long-data-too-short", answer
    session._force_close()


def test_noise_at_random_places_of_a_session(target):
    """Real sessions whose bytes are damaged on their way."""
    service, endpoint = target
    chance = random.Random(3)
    before = memory(service)
    for _ in range(60):
        session = connect(endpoint)
        try:
            for _ in range(chance.randrange(3)):
                session.query("SELECT 1")
            good = packet(0, b"\x03SELECT REPEAT('x', 1000)")
            bad = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                bad[chance.randrange(4, len(bad))] = chance.randrange(256)
            session._sock.settimeout(5)
            session._sock.sendall(bytes(bad) + os.urandom(chance.randrange(64)))
            session._sock.shutdown(socket.SHUT_WR)
            while session._sock.recv(65536):
                pass
        except OSError:
            pass
        session._force_close()
    assert memory(service) - before < 40 << 20
