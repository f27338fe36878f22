"""Clients whose host is gone without a word: nothing comes back from it, not even a refusal."""

import ctypes
import socket

import pymysql
import pytest

from harness.api import endpoint_of, poll
from harness.service import Service

PASSWORD = "Passw0rd!"
SO_ATTACH_FILTER = 26


class Instruction(ctypes.Structure):
    """One of the kernel's packet filters."""

    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class Program(ctypes.Structure):
    """A packet filter."""

    _fields_ = [("len", ctypes.c_uint16), ("filter", ctypes.POINTER(Instruction))]


def vanish(connection):
    """From here on every packet that comes for the socket is dropped, as if its host were off."""
    return_nothing = Instruction(0x06, 0, 0, 0)
    program = Program(1, ctypes.pointer(return_nothing))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


@pytest.fixture(scope="module", params=["epoll", "io_uring"])
def target(request):
    service = Service({"gateway": {"keepalive_seconds": 1, "io": request.param}})
    try:
        service.start()
        api = service.api()
        instance_id = api.order()["InstanceId"]
        yield service, endpoint_of(api.wait_active(instance_id))
        api.delete(instance_id)
        assert service.stop() == 0
    finally:
        service.destroy()


def connect(endpoint):
    host, port = endpoint
    return pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", ssl_disabled=True)


def test_locks_of_a_client_that_vanished_are_free_again(target):
    _, endpoint = target
    with connect(endpoint) as other, other.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE held (id INT PRIMARY KEY, n INT)")
        cursor.execute("INSERT INTO held VALUES (1, 0)")
        cursor.execute("COMMIT")
        gone = connect(endpoint)
        gone.begin()
        gone.query("UPDATE held SET n = 1")
        others = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'alice' AND ID <> CONNECTION_ID()"
        assert one(cursor, others) == 1
        vanish(gone._sock)
        poll(lambda: one(cursor, others) == 0, 60, "the session is still there")
        cursor.execute("UPDATE held SET n = n + 2")
        assert one(cursor, "SELECT n FROM held") == 2
        gone._force_close()


def one(cursor, query):
    cursor.execute(query)
    return cursor.fetchone()[0]
