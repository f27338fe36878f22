#!/usr/bin/env python3
"""A MySQL client for the scripts that measure sessions.

sessions.py size PORT STATEMENT            bytes of the statement's answer
sessions.py read PORT STATEMENT SIZE PID   seconds for the answer, growth of the resident memory of PID at most, in KiB
sessions.py hold PORT COUNT                logs in COUNT times, says so, and stays until its input ends
"""

import pathlib
import resource
import socket
import sys
import time

import pymysql
from pymysql.constants.COMMAND import COM_QUERY

# Looked at now and then while an answer comes.
LOOK_EVERY = 8 << 20


def connect(port):
    """A session at a port of this machine."""
    return pymysql.connect(host="127.0.0.1", port=port, user="bench", password="bench", database="shop")


def resident(pid):
    """Resident memory of a process in KiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def ask(port, statement):
    """Sends a statement; what comes is read from the socket, since a driver is slower than what is measured."""
    connection = connect(port)
    connection._execute_command(COM_QUERY, statement)
    # The driver closes its socket when it goes; this one is the same connection.
    return connection._sock.dup()


def size(port, statement):
    """Bytes of an answer: until nothing more comes for two seconds."""
    answer = ask(port, statement)
    answer.settimeout(2)
    buffer, count = bytearray(1 << 20), 0
    try:
        while got := answer.recv_into(buffer):
            count += got
    except socket.timeout:
        pass
    print(count)


def read(port, statement, length, pid):
    """Takes an answer of known length."""
    buffer, count = bytearray(1 << 20), 0
    before = most = resident(pid)
    look = LOOK_EVERY
    begun = time.monotonic()
    answer = ask(port, statement)
    while count < length:
        got = answer.recv_into(buffer)
        if not got:
            sys.exit("the answer ended early")
        count += got
        if count >= look:
            look += LOOK_EVERY
            most = max(most, resident(pid))
    print(f"{time.monotonic() - begun:.4f} {most - before}")


def hold(port, count):
    """Keeps sessions open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sessions = [connect(port) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    del sessions


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["size", port, statement]:
            size(int(port), statement)
        case ["read", port, statement, length, pid]:
            read(int(port), statement, int(length), int(pid))
        case ["hold", port, count]:
            hold(int(port), int(count))
        case _:
            sys.exit(__doc__)
