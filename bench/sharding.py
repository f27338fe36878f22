#!/usr/bin/env python3
"""A database over two nodes, against the same on one: point selects by key, updates of an index, LOAD DATA; and transfers
between partitions against the same without atomicity. Rounds are interleaved. Needs PyMySQL: run it through bench/run.sh, or with
the Python that it made."""

import argparse
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

import pymysql

from measure import machine, summary, verdict
from harness.api import endpoint_of
from harness.service import Service

PASSWORD = "Passw0rd!"
HERE = pathlib.Path(__file__).resolve().parent
SBTEST = """CREATE TABLE sbtest1 (id INT NOT NULL, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '',
    pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k))"""
ACCOUNTS = "CREATE TABLE accounts (id INT NOT NULL PRIMARY KEY, money BIGINT NOT NULL)"


class Side:
    """An instance, with tables that are distributed or not."""

    def __init__(self, api, nodes):
        self.nodes = nodes
        order = api.order(NodeNumber=nodes)
        self.host, self.port = endpoint_of(api.wait_active(order["InstanceId"]))
        self.connection = pymysql.connect(
            host=self.host, port=self.port, user="alice", password=PASSWORD, database="shop", autocommit=True, local_infile=True
        )

    def run(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def create(self, table):
        self.run(table + (" DISTRIBUTE BY HASH(id)" if self.nodes > 1 else ""))

    def load(self, file, table):
        """Seconds for LOAD DATA of a file."""
        start = time.perf_counter()
        self.run(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {table}")
        return time.perf_counter() - start

    def sysbench(self, script, threads, seconds, *options):
        """Transactions a second."""
        command = [
            "sysbench", script, "--db-driver=mysql", f"--mysql-host={self.host}", f"--mysql-port={self.port}", "--mysql-user=alice",
            f"--mysql-password={PASSWORD}", "--mysql-db=shop", "--mysql-ssl=off", "--db-ps-mode=disable", f"--threads={threads}",
            f"--time={seconds}", *options, "run",
        ]  # fmt: skip
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return float(re.search(r"transactions:\s+\d+\s+\(([\d.]+) per sec", said)[1])


def lines(place, name, rows, line):
    file = place / name
    with open(file, "w") as out:
        for number in range(1, rows + 1):
            out.write(line(number))
    file.chmod(0o644)
    return file


def pairs(rounds, first, second):
    """Both measured in turns, the order changed each round: ratios of the first to the second, and the firsts."""
    ratios, firsts = [], []
    for number in range(rounds):
        if number % 2:
            other, one = second(), first()
        else:
            one, other = first(), second()
        ratios.append(one / other)
        firsts.append(one)
    return ratios, firsts


def report(what, measured, target, at_least=True):
    ratios, firsts = measured
    middle = statistics.median(ratios)
    reached = middle >= target if at_least else middle <= target
    print(f"{what}: {summary(ratios, 'x', digits=2)}; at least {target}: {verdict(reached)}; {statistics.median(firsts):.0f}/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    arguments = parser.parse_args()
    print(machine())
    with Service() as service, tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        place.chmod(0o755)
        one, two = Side(service.api(), 1), Side(service.api(), 2)
        rows = lines(place, "rows", arguments.rows, lambda n: f"{n}\t{n * 7919 % arguments.rows}\t{'c' * 119}\t{'p' * 59}\n")
        loaded = []
        for number in range(arguments.rounds):
            for side in (one, two):
                side.run("DROP TABLE IF EXISTS sbtest1")
                side.create(SBTEST)
            # A ratio of rates, from the seconds.
            loaded.append(one.load(rows, "sbtest1") / two.load(rows, "sbtest1"))
        print(f"LOAD DATA to one node: {summary(loaded, 'x', digits=2)}; at least 0.8: {verdict(statistics.median(loaded) >= 0.8)}", flush=True)
        size = f"--table-size={arguments.rows}"

        def both(script, threads, *options):
            return pairs(
                arguments.rounds, *(lambda side=side: side.sysbench(script, threads, arguments.seconds, *options) for side in (two, one))
            )

        report("point select by key, 16, to one node", both("oltp_point_select", 16, "--tables=1", size), 0.95)
        report("update_index, 16, to one node", both("oltp_update_index", 16, "--tables=1", size), 1.2)
        two.create(ACCOUNTS)
        two.load(lines(place, "accounts", 10_000, lambda n: f"{n}\t1000\n"), "accounts")
        transfers = (
            lambda how=how: two.sysbench(str(HERE / "transfers.lua"), 8, arguments.seconds, f"--atomic={how}") for how in ("on", "off")
        )
        report("transfers over two nodes, 8, to those without atomicity", pairs(arguments.rounds, *transfers), 0.6)


if __name__ == "__main__":
    main()
