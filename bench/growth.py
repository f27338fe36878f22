#!/usr/bin/env python3
"""A database over two nodes gets a third one under oltp_read_write, and loses it again: how much slower it is meanwhile, which statements
fail, and how long the longest of single statements takes. Sysbench runs through all of it; the rates are those of whole seconds between the order and
the end. Sessions beside it run single statements, whose times and errors are told one by one. Needs PyMySQL: run it through bench/run.sh, or with
the Python that it made."""

import argparse
import re
import statistics
import subprocess
import threading
import time

import pymysql

from measure import machine, summary, verdict
from harness.api import endpoint_of, poll
from harness.service import Service

PASSWORD = "Passw0rd!"
SBTEST = """CREATE TABLE sbtest1 (id INT NOT NULL, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '',
    pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_1 (k)) DISTRIBUTE BY HASH(id)"""


class World:
    """A service with an instance whose database has two nodes."""

    def __init__(self, service, rows):
        self.service, self.rows = service, rows
        self.api = service.api()
        self.id = self.api.order(NodeNumber=2, AccountPassword=PASSWORD)["InstanceId"]
        self.host, self.port = endpoint_of(self.api.wait_active(self.id))
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(SBTEST)
            for begin in range(1, rows + 1, 5000):
                values = ", ".join(f"({n}, {n * 7919 % rows}, '{'c' * 119}', '{'p' * 59}')" for n in range(begin, min(begin + 5000, rows + 1)))
                cursor.execute(f"INSERT INTO sbtest1 VALUES {values}")

    def connect(self):
        return pymysql.connect(host=self.host, port=self.port, user="alice", password=PASSWORD, database="shop", autocommit=True)

    def order(self, nodes):
        """Has the database get so many nodes; the seconds until all is done."""
        begun = time.monotonic()
        self.api.call("ModifyDatabaseNodesNumber", InstanceId=self.id, DBName="shop", Parameter=nodes)

        def done():
            (database,) = self.api.call("DescribeDatabases", InstanceId=self.id)["Databases"]["Database"]
            return database["DBStatus"] == "ACTIVE" and int(database["NodeNumber"]) == nodes

        poll(done, 3600, "the database is not ACTIVE", interval=0.2)
        return time.monotonic() - begun


class Probes:
    """Sessions that run single statements, by turns a read and a write by key."""

    def __init__(self, world, count):
        self.world, self.over = world, threading.Event()
        self.failed, self.times = [], []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def run(self, number):
        with self.world.connect() as connection, connection.cursor() as cursor:
            key = number
            while not self.over.is_set():
                key = (key * 48271 + 11) % self.world.rows + 1
                write = f"UPDATE sbtest1 SET k = k + 1 WHERE id = {key}"
                for statement in (f"SELECT c FROM sbtest1 WHERE id = {key}", write):
                    begun = time.monotonic()
                    try:
                        cursor.execute(statement)
                    except pymysql.err.Error as error:
                        self.failed.append((begun, error))
                    self.times.append((begun, time.monotonic() - begun))
                time.sleep(0.005)

    def between(self, begin, end):
        """The longest time in seconds, and what failed, of statements that ran then."""
        times = [took for begun, took in list(self.times) if begun + took >= begin and begun <= end]
        return max(times), [error for begun, error in list(self.failed) if begin <= begun <= end]


class Sysbench:
    """oltp_read_write that goes on until it is told to stop: what it did in each second."""

    def __init__(self, world, threads):
        command = [
            "sysbench", "oltp_read_write", "--db-driver=mysql", f"--mysql-host={world.host}", f"--mysql-port={world.port}", "--mysql-user=alice",
            f"--mysql-password={PASSWORD}", "--mysql-db=shop", "--mysql-ssl=off", "--db-ps-mode=disable", "--tables=1", f"--table-size={world.rows}",
            f"--threads={threads}", "--time=0", "--events=0", "--report-interval=1", "run",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.seconds, self.said = [], []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            found = re.search(r"tps: ([\d.]+) .*err/s: ([\d.]+) reconn/s: ([\d.]+)", line)
            if found:
                self.seconds.append((time.monotonic(), *map(float, found.groups())))
            else:
                self.said.append(line)

    def between(self, begin, end):
        """Transactions a second, and errors a second that were tried again, of whole seconds in between."""
        assert self.process.poll() is None, "sysbench ended: " + "".join(self.said[-20:])
        whole = [row for row in list(self.seconds) if row[0] - 1 >= begin and row[0] <= end]
        return statistics.mean(row[1] for row in whole), statistics.mean(row[2] + row[3] for row in whole)

    def stop(self):
        self.process.terminate()
        self.reader.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="how long it is measured before each order")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--probes", type=int, default=2)
    arguments = parser.parse_args()
    print(machine())
    with Service() as service:
        world = World(service, arguments.rows)
        sysbench, probes = Sysbench(world, arguments.threads), Probes(world, arguments.probes)
        for thread in probes.threads:
            thread.start()
        measured = {3: [], 2: []}
        try:
            time.sleep(3)
            for _ in range(arguments.rounds):
                for nodes, rounds in measured.items():
                    # Caches fill and logs are written: what is measured just before is what it is compared with.
                    calm = time.monotonic()
                    time.sleep(arguments.seconds)
                    begin = time.monotonic()
                    before, retried_before = sysbench.between(calm, begin)
                    longest_before, _ = probes.between(calm, begin)
                    took = world.order(nodes)
                    end = time.monotonic()
                    rate, retried = sysbench.between(begin, end)
                    longest, failed = probes.between(begin, end)
                    rounds.append((rate / before, longest, len(failed), took, retried, retried_before, longest_before, before))
                    print(f"  to {nodes} nodes: {rate:.0f} of {before:.0f} transactions/s in {took:.1f} s, the longest statement {longest:.2f} s (before {longest_before:.2f} s)", flush=True)
                    for error in failed[:3]:
                        print(f"    failed: {error}", flush=True)
        finally:
            probes.over.set()
            for thread in probes.threads:
                thread.join()
            sysbench.stop()
        for nodes, rounds in measured.items():
            ratios, longest, failed, took, retried, retried_before, longest_before, _ = map(list, zip(*rounds))
            print(f"to {nodes} nodes, oltp_read_write of {arguments.threads}, {arguments.rows} rows, rate to that before: {summary(ratios, 'x', digits=2)}; at least 0.7: {verdict(statistics.median(ratios) >= 0.7)}")
            print(f"  longest single statement: {summary(longest, 's', digits=2)}; at most 1: {verdict(max(longest) <= 1)}; before: {summary(longest_before, 's', digits=2)}")
            print(f"  statements that failed: {sum(failed)}; none: {verdict(sum(failed) == 0)}")
            print(f"  transactions that sysbench tried again, a second: {summary(retried, '', digits=2)}; before: {summary(retried_before, '', digits=2)}")
            print(f"  until it was done: {summary(took, 's', digits=1)}")


if __name__ == "__main__":
    main()
