#!/usr/bin/env python3
"""A database over two nodes, against the same on one: point selects by key, prepared ones, updates of an index, LOAD DATA; and
transfers between partitions against the same without atomicity. Rounds are interleaved; of point selects the processor time that the
service takes for each is told as well. What two servers on the same processors cost by themselves is told by a third side: two instances
with one node each, which share clients or rows evenly. Needs PyMySQL: run it through bench/run.sh, or with the Python that it made."""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import threading
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

    def __init__(self, service, nodes):
        self.nodes = nodes
        self.service = service
        # Microseconds of processor that the service took for each transaction, by measurement.
        self.cost = []
        api = service.api()
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

    def sysbench(self, script, threads, seconds, *options, prepared=False):
        """Transactions a second."""
        before = processor_time(self.service.pid)
        command = [
            "sysbench", script, "--db-driver=mysql", f"--mysql-host={self.host}", f"--mysql-port={self.port}", "--mysql-user=alice",
            f"--mysql-password={PASSWORD}", "--mysql-db=shop", "--mysql-ssl=off",
            f"--db-ps-mode={'auto' if prepared else 'disable'}", f"--threads={threads}",
            f"--time={seconds}", *options, "run",
        ]  # fmt: skip
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        count, rate = re.search(r"transactions:\s+(\d+)\s+\(([\d.]+) per sec", said).groups()
        self.cost.append(1e6 * (processor_time(self.service.pid) - before) / max(int(count), 1))
        return float(rate)


class Apart:
    """Two instances of one node each, used at the same time: what two servers cost where nothing has to be whole over both."""

    def __init__(self, *sides):
        self.sides = sides
        self.service = sides[0].service

    def at_once(self, work):
        """What each of the sides gave."""
        given = [None for _ in self.sides]

        def run(number):
            given[number] = work(self.sides[number])

        threads = [threading.Thread(target=run, args=(number,)) for number in range(len(self.sides))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return given

    def load(self, file, table):
        """Seconds until both have half of the rows, which `file` has."""
        return max(self.at_once(lambda side: side.load(file, table)))

    def sysbench(self, script, threads, seconds, *options, prepared=False):
        """Transactions a second of both, each with half of the clients."""
        share = threads // len(self.sides)
        return sum(self.at_once(lambda side: side.sysbench(script, share, seconds, *options, prepared=prepared)))


def processor_time(pid):
    """Seconds of processor that a process has taken."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
    parser.add_argument("--selects-only", action="store_true", help="nothing but point selects")
    arguments = parser.parse_args()
    print(machine())
    with Service() as service, tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        place.chmod(0o755)
        one, two, other = Side(service, 1), Side(service, 2), Side(service, 1)
        apart = Apart(one, other)

        def row(number):
            return f"{number}\t{number * 7919 % arguments.rows}\t{'c' * 119}\t{'p' * 59}\n"

        rows = lines(place, "rows", arguments.rows, row)
        half = lines(place, "half", arguments.rows // 2, row)
        loaded, loaded_apart = [], []

        def anew(*sides):
            for side in sides:
                side.run("DROP TABLE IF EXISTS sbtest1")
                side.create(SBTEST)

        for _ in range(1 if arguments.selects_only else arguments.rounds):
            anew(one, other)
            separately = apart.load(half, "sbtest1")
            anew(one, two, other)
            # Ratios of rates, from the seconds.
            alone = one.load(rows, "sbtest1")
            loaded.append(alone / two.load(rows, "sbtest1"))
            loaded_apart.append(alone / separately)
            other.load(rows, "sbtest1")
        print(f"LOAD DATA to one node: {summary(loaded, 'x', digits=2)}; at least 0.8: {verdict(statistics.median(loaded) >= 0.8)}", flush=True)
        print(f"  two instances, half of the rows each, to one node: {summary(loaded_apart, 'x', digits=2)}", flush=True)
        size = f"--table-size={arguments.rows}"

        def to_one(side, script, threads, *options, prepared=False):
            def run(side):
                return lambda: side.sysbench(script, threads, arguments.seconds, *options, prepared=prepared)

            return pairs(arguments.rounds, run(side), run(one))

        def compare_apart(*what, **how):
            ratios, _ = to_one(apart, *what, **how)
            print(f"  two instances, half of the clients each, to one node: {summary(ratios, 'x', digits=2)}", flush=True)

        for prepared in (False, True):
            for threads in (1, 16):
                two.cost, one.cost = [], []
                name = f"point select by key{', prepared' if prepared else ''}, {threads}, to one node"
                report(name, to_one(two, "oltp_point_select", threads, "--tables=1", size, prepared=prepared), 0.95)
                cost = f"{statistics.median(two.cost):.1f} against {statistics.median(one.cost):.1f} us"
                print(f"  processor of the service for each: {cost}", flush=True)
                if threads > 1:
                    compare_apart("oltp_point_select", threads, "--tables=1", size, prepared=prepared)
        if arguments.selects_only:
            return
        report("update_index, 16, to one node", to_one(two, "oltp_update_index", 16, "--tables=1", size), 1.2)
        compare_apart("oltp_update_index", 16, "--tables=1", size)
        two.create(ACCOUNTS)
        two.load(lines(place, "accounts", 10_000, lambda n: f"{n}\t1000\n"), "accounts")
        transfers = (
            lambda how=how: two.sysbench(str(HERE / "transfers.lua"), 8, arguments.seconds, f"--atomic={how}") for how in ("on", "off")
        )
        report("transfers over two nodes, 8, to those without atomicity", pairs(arguments.rounds, *transfers), 0.6)


if __name__ == "__main__":
    main()
