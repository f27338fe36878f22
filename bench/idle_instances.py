#!/usr/bin/env python3
"""Processor time that the service takes while nobody uses it, with many idle instances: sampling,
measuring and looking after their nodes. Target for sampling alone, with 200 instances: below 3 % of a
core; what is measured is the whole process, at several sizes as instances are added, of which the first is
none. A node takes 35 MB of memory and about 50 MB of disk."""

import argparse
import os
import pathlib
import time

from measure import machine, verdict
from harness.service import Service

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    """What a process has taken so far, in the kernel and outside."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def share(pid, seconds):
    """What a process takes of a core."""
    begun, before = time.monotonic(), processor_seconds(pid)
    time.sleep(seconds)
    return (processor_seconds(pid) - before) / (time.monotonic() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--settle", type=float, default=60, help="seconds before each measurement")
    arguments = parser.parse_args()
    print(machine(), flush=True)
    most = max(arguments.instances)
    ports = {"classic_port_first": 21_000, "classic_port_last": 21_000 + 2 * most}
    with Service(config={"network": ports}) as service:

        def measure(count):
            # The reconcilers' slower rounds begin with what the orders left.
            time.sleep(arguments.settle if count else 5)
            idle = share(service.pid, arguments.seconds)
            print(f"{count} idle instances: {idle * 100:.2f} % of a core over {arguments.seconds:.0f} s", flush=True)
            return idle

        shares = {0: measure(0)}
        api = service.api()
        ids = []
        for count in sorted(arguments.instances):
            while len(ids) < count:
                ids.append(api.order()["InstanceId"])
                api.wait_active(ids[-1], 300)
            shares[count] = measure(count)
        each = (shares[most] - shares[0]) / most
        print(f"an instance: {each * 1e6:.0f} µs a second; 200 of them: {each * 200 * 100:.2f} % of a core")
        print(f"200 below 3 %: {verdict(each * 200 < 0.03)}", flush=True)
        for instance_id in ids:
            api.call("DeleteInstance", InstanceId=instance_id)
        for instance_id in ids:
            api.wait_gone(instance_id, 600)


if __name__ == "__main__":
    main()
