#!/usr/bin/env python3
"""Processor time that the service takes while nobody uses it, with many idle instances: sampling,
measuring and looking after their nodes. Target for sampling alone, with 200 instances: below 3 % of a
core; what is measured is the whole process. The baseline is the service without instances."""

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
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    print(machine())
    ports = {"classic_port_first": 21_000, "classic_port_last": 21_000 + 2 * arguments.instances}
    with Service(config={"network": ports}) as service:
        empty = share(service.pid, arguments.seconds)
        api = service.api()
        ids = []
        for _ in range(arguments.instances):
            ids.append(api.order()["InstanceId"])
            api.wait_active(ids[-1], 120)
        # The reconcilers' slower rounds begin with what the orders left.
        time.sleep(60)
        idle = share(service.pid, arguments.seconds)
        for instance_id in ids:
            api.call("DeleteInstance", InstanceId=instance_id)
        for instance_id in ids:
            api.wait_gone(instance_id, 300)
    print(f"without instances: {empty * 100:.2f} % of a core")
    print(f"{arguments.instances} idle instances: {idle * 100:.2f} % of a core, over {arguments.seconds:.0f} s")
    print(f"below 3 %: {verdict(idle < 0.03)}")


if __name__ == "__main__":
    main()
