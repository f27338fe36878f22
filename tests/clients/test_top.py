"""`openpeta top` and `openpeta metrics` on a real service: in a terminal, and for programs."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pymysql
import pytest

from harness.api import poll


@pytest.fixture
def openpeta(service):
    """Runs the program on the service's data directory; its standard output."""

    def run(*arguments, code=0):
        done = subprocess.run(
            command(service, *arguments), capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == code, done
        return done.stdout

    return run


def command(service, *arguments):
    return [str(service.binary), *arguments, "--data-dir", str(service.data_dir)]


@pytest.fixture
def busy(instance):
    """Has the instance read all the time; one of a hundred statements fails."""
    over = threading.Event()
    begun = threading.Event()

    def work():
        login = {"host": instance.host, "port": instance.port, "user": instance.user, "password": instance.password}
        with pymysql.connect(**login, database=instance.database) as session:
            number = 0
            while not over.wait(0.002):
                number += 1
                try:
                    session.cursor().execute("SELECT none" if number % 100 == 0 else "SELECT 4711")
                except pymysql.err.OperationalError:
                    pass
                begun.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    yield instance
    over.set()
    thread.join(20)


def test_top_once_for_programs(openpeta, busy):
    found = json.loads(openpeta("top", "--once", "--json", "--interval", "1.5"))
    [its] = [line for line in found["instances"] if line["instance_id"] == busy.id]
    assert its["status"] == "ACTIVE" and its["sessions"] >= 1
    assert 0 < its["reads"] <= its["statements"] < 1000 and its["writes"] == 0
    assert 0 < its["read_ms"] < 1000
    [node] = [line for line in found["nodes"] if line["instance_id"] == busy.id]
    assert node["health"] == "up" and node["restarts"] == 0
    [digest] = [line for line in found["digests"] if line["statement"] == "SELECT ?"]
    assert digest["count"] > 0 and digest["per_second"] > 0 and digest["instance_id"] == busy.id


def test_top_once_as_text(openpeta, busy):
    lines = openpeta("top", "--once", "--interval", "0.5").splitlines()
    assert lines[0].startswith("openpeta ")
    [row] = [line.split() for line in lines if line.startswith(busy.id) and "ACTIVE" in line]
    assert float(row[3]) > 0
    # Without a terminal there is nothing to draw on.
    openpeta("top", code=2)


def screen(written, height, width):
    """What a terminal shows after all that: what has not changed is not written again."""
    cells = [[" "] * width for _ in range(height)]
    row = column = 0
    for position, letter, text in re.findall(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])", written.decode(errors="replace")):
        if text:
            if row < height and column < width:
                cells[row][column] = text
            column += 1
        elif letter == "H":
            row, column = (int(number) - 1 for number in (position or "1;1").split(";"))
    return "\n".join("".join(line) for line in cells)


def test_top_in_a_terminal(service, busy):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 140, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    top = subprocess.Popen(
        command(service, "top", "--interval", "0.2"), stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environment
    )
    before = termios.tcgetattr(slave)
    os.set_blocking(master, False)
    shown = bytearray()

    def read():
        try:
            while piece := os.read(master, 65536):
                shown.extend(piece)
        except BlockingIOError:
            pass
        return bytes(shown)

    def shows(text):
        return text in screen(read(), 30, 140)

    try:
        # The instance, what it runs, and how much of it.
        for text in [busy.id, "SELECT ?", "█", "order: load"]:
            poll(lambda: shows(text), 20, lambda: screen(read(), 30, 140))
        os.write(master, b"s")
        poll(lambda: shows("order: sessions"), 20, lambda: screen(read(), 30, 140))
        os.write(master, b"q")
        # What it still writes must be read, or it waits.
        poll(lambda: (read(), top.poll())[1] is not None, 20, lambda: screen(read(), 30, 140))
        assert top.returncode == 0, top.stderr.read()
        assert read().endswith(b"\x1b[?25h") or b"\x1b[?1049l" in read(), "the screen is given back"
        assert termios.tcgetattr(slave) == before, "and the terminal's mode"
    finally:
        if top.poll() is None:
            top.kill()
            top.wait()
        os.close(master)
        os.close(slave)


def test_metrics_of_what_was_sampled(openpeta, busy):
    def values():
        history = json.loads(openpeta("metrics", busy.id, "--item", "reads", "--item", "sessions", "--last", "60s", "--json"))
        assert history["step_seconds"] == 5
        assert [series["item"] for series in history["series"]] == ["reads", "sessions"]
        return [[value for value in series["values"] if value] for series in history["series"]]

    poll(lambda: all(values()), 30, lambda: openpeta("metrics", busy.id))
    reads, sessions = values()
    assert max(reads) < 1000 and 0 < max(sessions) <= 100
    of_database = openpeta("metrics", busy.id, "--database", busy.database, "--item", "reads", "--csv").splitlines()
    assert of_database[0] == "time,reads"
    assert any(float(line.split(",")[1] or 0) > 0 for line in of_database[1:])

    plot = openpeta("metrics", busy.id, "--item", "statements", "--height", "3").splitlines()
    assert plot[0].startswith("statements (1/s): mean ") and len(plot) == 5
    assert all("┤" in line for line in plot[1:4]) and "█" in plot[3]
    openpeta("metrics", "pd-abcdefghijklmn", code=1)
    openpeta("metrics", busy.id, "--item", "nonsense", code=2)
