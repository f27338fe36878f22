#!/usr/bin/env python3
"""Memory with 20 idle instances: of the service (control plane and gateway), and of each node.
RSS counts shared pages wholly, PSS by share. Target: the service below 60 MB (RSS). The
baseline is the service without instances in the same run."""

import argparse
import pathlib
import statistics
import time

from measure import machine, summary, verdict
from harness.service import Service

KEYS = {"Rss": "rss", "Pss": "pss"}


def memory(pid):
    """RSS and PSS of a process in bytes."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name = line.split(":")[0]
        if name in KEYS:
            found[KEYS[name]] = int(line.split()[1]) * 1024
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--idle-seconds", type=float, default=5)
    arguments = parser.parse_args()
    print(machine())
    with Service() as service:
        empty = memory(service.pid)
        api = service.api()
        ids = [api.order()["InstanceId"] for _ in range(arguments.instances)]
        for instance_id in ids:
            api.wait_active(instance_id, 120)
        time.sleep(arguments.idle_seconds)
        idle = memory(service.pid)
        nodes = [memory(pid) for pid in service.node_pids()]
        assert len(nodes) == arguments.instances
        for instance_id in ids:
            api.call("DeleteInstance", InstanceId=instance_id)
        for instance_id in ids:
            api.wait_gone(instance_id, 120)
    mb = 1 / 1e6
    print(f"service, no instance      RSS {empty['rss'] * mb:.1f} MB  PSS {empty['pss'] * mb:.1f} MB")
    print(f"service, {arguments.instances} idle instances  RSS {idle['rss'] * mb:.1f} MB  PSS {idle['pss'] * mb:.1f} MB")
    print(f"ratio: {idle['rss'] / empty['rss']:.2f} of the service without instances")
    print(f"each idle node, PSS       {summary([node['pss'] for node in nodes], 'MB', mb, 1)}")
    print(f"each idle node, RSS       {summary([node['rss'] for node in nodes], 'MB', mb, 1)}")
    print(f"service below 60 MB: {verdict(idle['rss'] < 60e6)}; node about 33 MB: {statistics.median(node['pss'] for node in nodes) * mb:.1f} MB")


if __name__ == "__main__":
    main()
