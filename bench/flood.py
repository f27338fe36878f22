#!/usr/bin/env python3
"""Floods of one address against the endpoint of an instance, and what another address sees of them.

    bench/flood.py [--seconds 20] [--held 4000] [--threads 8]

An instance of the real service serves a client at 127.0.0.1, which connects, runs SELECT 1 and goes, over and over. Meanwhile
clients at 127.0.0.9 connect and go as fast as they can, connect and read the greeting, hold connections without a word, or
hold them and send a login a byte a second. For each: connections a second of the flood, the client's logins a second, median and
99th percentile and worst of them, failures, the service's memory at most, and the counters that moved. A connection whose SYN is
never acknowledged does not reach the service: that is the kernel's business (SYN cookies)."""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/clients"))

import pymysql  # noqa: E402

from harness.api import endpoint_of  # noqa: E402
from harness.service import Service  # noqa: E402

PASSWORD = "Tr0ub4dor&3_=+"
FLOODER = "127.0.0.9"
COUNTERS = ["accepted", "refused_limit", "displaced", "login_timeouts", "failed_logins", "node_failures"]


class Victim:
    """The client that is to notice nothing."""

    def __init__(self, host, port):
        self.where = {"host": host, "port": port, "user": "alice", "password": PASSWORD, "database": "shop", "ssl_disabled": True}
        self.times, self.failures, self.ends = [], [], False
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.ends:
            begun = time.monotonic()
            try:
                with pymysql.connect(**self.where, connect_timeout=10) as connection:
                    connection.cursor().execute("SELECT 1")
                self.times.append(time.monotonic() - begun)
            except pymysql.MySQLError as error:
                self.failures.append(error.args)
            time.sleep(0.005)

    def told(self):
        times = sorted(self.times) or [float("nan")]
        at = lambda share: times[min(int(len(times) * share), len(times) - 1)] * 1000  # noqa: E731
        return f"{len(times):6} logins, ms: {at(0.5):7.2f} {at(0.99):7.2f} {times[-1] * 1000:7.2f}, {len(self.failures)} failed {self.failures[:1] or ''}"


def counters(service):
    """The counters of the gateway."""
    with urllib.request.urlopen(service.credentials["http_endpoint"].rstrip("/") + "/metrics") as answer:
        text = answer.read().decode()
    return {name: sum(float(value) for value in re.findall(rf"^openpeta_gateway_{name}_total\S* (\S+)$", text, re.MULTILINE)) for name in COUNTERS}


def resident(pid):
    """Resident memory in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def measure(service, where, title, command):
    """One flood, or none."""
    before, most = counters(service), resident(service.pid)
    begun = time.monotonic()
    victim = Victim(*where)
    victim.thread.start()
    flood = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    while flood.poll() is None:
        most = max(most, resident(service.pid))
        time.sleep(0.1)
    said = flood.stdout.read()
    victim.ends = True
    victim.thread.join()
    took = time.monotonic() - begun
    moved = {name: int(value - before[name]) for name, value in counters(service).items() if value != before[name]}
    print(f"{title:8} {victim.told()}; memory {most:.1f} MiB; {moved}")
    if said:
        flood = json.loads(said)
        print(f"{'':8} {flood['opened'] / flood['seconds']:.0f} connections/s of the flood, {flood['lost']} closed on it, {flood['failed']} failed")
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--held", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=8)
    asked = parser.parse_args()
    os.environ["NO_PROXY"] = "*"
    build = ["cargo", "build", "--quiet", "--release", "-p", "openpeta-gateway", "--example", "flood"]
    program = os.environ.get("OPENPETA_FLOOD") or ROOT / "target/release/examples/flood"
    if "OPENPETA_FLOOD" not in os.environ:
        subprocess.run(build, cwd=ROOT, check=True)
    service = Service()
    try:
        service.start()
        api = service.api()
        identifier = api.order(AccountPassword=PASSWORD, DBName="shop", AccountName="alice")["InstanceId"]
        where = endpoint_of(api.wait_active(identifier))
        api.call("ModifySecurityIPs", InstanceId=identifier, SecurityIPList="127.0.0.0/8")
        flood = [program, "{}:{}".format(*where), FLOODER]
        measure(service, where, "nothing", ["sleep", asked.seconds])
        for mode, count in [("connect", asked.threads), ("greet", asked.threads), ("silent", asked.held), ("slow", asked.held)]:
            measure(service, where, mode, [*flood, mode, asked.seconds, count])
        # What a flood has left is gone, and the memory with it or used again.
        measure(service, where, "after", ["sleep", asked.seconds // 2])
        api.delete(identifier)
    finally:
        service.destroy()


if __name__ == "__main__":
    main()
