#!/usr/bin/env python3
"""From CreateInstance to the first successful query, the client polling every 20 ms, against
the least that any implementation must do: copy the template, start mariadbd, ping it.

Rounds of both are interleaved. Targets: median below 0.6 s and below 3 times the bare start;
below 0.2 s when a spare node stands ready; 20 orders at once all succeed. Needs PyMySQL: run
it through bench/run.sh."""

import argparse
import concurrent.futures
import os
import pathlib
import pwd
import shutil
import sqlite3
import statistics
import subprocess
import time

import pymysql

from measure import machine, summary, verdict
from harness.api import endpoint_of, poll
from harness.service import Service

PASSWORD = "Passw0rd!"


def bare_start(service, node_config, workplace):
    """Seconds from nothing to an answered ping, with the template and settings of a node."""
    directory = workplace / "bare"
    config = node_config.replace(str(node_directory_of(node_config)), str(directory))
    start = time.perf_counter()
    for name in ("binlog", "files", "tmp"):
        (directory / name).mkdir(parents=True)
    # The same copy that coreutils does best; holes stay holes.
    subprocess.run(["cp", "-a", "--sparse=always", service.data_dir / "template" / "data", directory / "data"], check=True)
    (directory / "my.cnf").write_text(config)
    command = ["mariadbd", f"--defaults-file={directory}/my.cnf"]
    if os.geteuid() == 0:
        user = pwd.getpwnam("mysql")
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", directory], check=True)
        command.append("--user=mysql")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        poll(lambda: answers(directory / "mysqld.sock"), 30, "the bare node does not answer", interval=0.002)
        return time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


def node_directory_of(node_config):
    """The node's directory, as its configuration names it."""
    line = next(line for line in node_config.splitlines() if line.startswith("datadir="))
    return pathlib.Path(line.split("=", 1)[1].strip('"')).parent


def answers(socket):
    """Whether the server takes logins: a refused one is an answer too."""
    try:
        pymysql.connect(unix_socket=str(socket), user="nobody", connect_timeout=2).close()
    except pymysql.err.OperationalError as error:
        return error.args[0] in (1044, 1045, 1698, 1524)
    return True


def order_and_query(api, timeout=120):
    """Seconds from the call to the first row, and the instance."""
    start = time.perf_counter()
    instance_id = api.order(AccountPassword=PASSWORD)["InstanceId"]
    while True:
        info = api.info(instance_id)
        if info["InstanceStatus"] == "ACTIVE":
            host, port = endpoint_of(info)
            with pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop", ssl_disabled=True) as session:
                cursor = session.cursor()
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)
            return time.perf_counter() - start, instance_id
        if time.perf_counter() - start > timeout:
            raise TimeoutError(f"{instance_id} did not become ACTIVE")
        time.sleep(0.02)


def measured(spare, rounds, with_bare):
    """Creates, and bare starts between them if asked for."""
    created, bare = [], []
    with Service({"nodes": {"spare": spare}}) as service:
        api = service.api()
        # The first one is for warm caches, and for a node's configuration.
        _, instance_id = order_and_query(api)
        own = next(path for path in service.node_dirs() if instance_node(service, instance_id) == path.name)
        node_config = (own / "my.cnf").read_text()
        api.delete(instance_id)
        for _ in range(rounds):
            wait_for_spares(service, spare)
            took, instance_id = order_and_query(api)
            created.append(took)
            api.delete(instance_id)
            if with_bare:
                bare.append(bare_start(service, node_config, service.home))
    return created, bare


def instance_node(service, instance_id):
    """The node of an instance, from the operator's list."""
    with sqlite3.connect(f"file:{service.data_dir}/store.sqlite3?mode=ro", uri=True) as store:
        return store.execute("SELECT node_id FROM instances WHERE instance_id = ?", [instance_id]).fetchone()[0]


def wait_for_spares(service, spare):
    """Waits until the pool is full and the machine quiet."""

    def full():
        sockets = [path for path in service.node_dirs() if (path / "mysqld.sock").exists()]
        return len(sockets) >= spare

    poll(full, 60, "the pool of spare nodes is not refilled")
    time.sleep(0.5)


def at_once(count):
    """Seconds of each of so many orders that come together."""
    with Service() as service, concurrent.futures.ThreadPoolExecutor(count) as pool:
        order_and_query(service.api())
        took = [result.result()[0] for result in [pool.submit(order_and_query, service.api()) for _ in range(count)]]
        api = service.api()
        for instance_id in api.instances():
            api.call("DeleteInstance", InstanceId=instance_id)
        poll(lambda: api.instances() == [], 120, "deletes do not end")
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--at-once", type=int, default=20)
    arguments = parser.parse_args()
    print(machine())
    created, bare = measured(0, arguments.rounds, True)
    ready, _ = measured(2, arguments.rounds, False)
    print(f"bare copy + start + ping   {summary(bare, 's')}")
    print(f"create to query, no spare  {summary(created, 's')}")
    print(f"create to query, spare 2   {summary(ready, 's')}")
    median, ratio = statistics.median(created), statistics.median(created) / statistics.median(bare)
    print(f"ratio to bare: {ratio:.2f} without a spare, {statistics.median(ready) / statistics.median(bare):.2f} with")
    print(f"below 0.6 s: {verdict(median < 0.6)}; below 3 times bare: {verdict(ratio < 3)}; with a spare below 0.2 s: {verdict(statistics.median(ready) < 0.2)}")
    took = at_once(arguments.at_once)
    print(f"{arguments.at_once} at once, all succeeded  {summary(took, 's')}")


if __name__ == "__main__":
    main()
