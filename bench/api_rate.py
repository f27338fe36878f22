#!/usr/bin/env python3
"""Signed calls a second: DescribeInstances (page of 50) and DescribeInstanceInfo, over HTTP and
HTTPS, as the tenant and as a RAM user with 100 policy statements, over 1,000 and 10,000
instances. 16 kept connections; wrk on the same cores replays requests that were signed before,
each with a nonce of its own and a random page or instance.

The baseline in the same run is the health probe: the same server, no signature, no store. The
instances are rows of the store without nodes: no machine for this test holds 10,000 of them."""

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import random
import sqlite3
import statistics
import subprocess
import tempfile
import time

from measure import ROOT, machine, verdict
from harness.api import VERSION, percent_encode, utc
from harness.service import Service

CONNECTIONS, THREADS = 16, 2


def seed(service, count):
    """Adds rows of instances to a stopped service's store, up to so many."""
    with sqlite3.connect(service.data_dir / "store.sqlite3") as store:
        [(account,)] = store.execute("SELECT account_id FROM tenants LIMIT 1").fetchall()
        [(have,)] = store.execute("SELECT COUNT(*) FROM instances").fetchall()
        now = int(time.time() * 1e6)
        forever = 32_493_801_600_000_000
        for number in range(have, count):
            instance = f"pd-bench{number:07d}"
            store.execute(
                "INSERT INTO instances (instance_id, account_id, name, region_id, zone_id, network_type, charge_type,"
                " status, lock_mode, created_at, expires_at)"
                " VALUES (?, ?, ?, 'cn-hangzhou', 'cn-hangzhou-b', 'Classic', 'PostPaid', 'ACTIVE', 'Unlock', ?, ?)",
                [instance, account, f"instance number {number}", now, forever],
            )
            for name in ("shop", "stock"):
                store.execute(
                    "INSERT INTO databases (instance_id, db_name, node_spec, node_number, charge_type, status, created_at, expires_at)"
                    " VALUES (?, ?, 'petadata.s2.xlarge', 1, 'PostPaid', 'ACTIVE', ?, ?)",
                    [instance, name, now, forever],
                )
            store.execute(
                "INSERT INTO endpoints (endpoint_id, instance_id, endpoint_type, connection_string, address, port)"
                " VALUES (?, ?, 'INTERNAL', ?, ?, 3306)",
                [f"ep-bench{number:07d}", instance, address(number), address(number)],
            )
            for key, value in [("team", f"team-{number % 10}"), ("env", "test")]:
                store.execute("INSERT INTO tags (instance_id, tag_key, tag_value) VALUES (?, ?, ?)", [instance, key, value])
            store.execute(
                "INSERT INTO whitelist_groups (instance_id, name, position, attribute, entries) VALUES (?, 'default', 0, '', '127.0.0.1')",
                [instance],
            )
    store.close()


def address(number):
    """An address of this machine that nothing else uses."""
    return f"127.251.{number // 250}.{number % 250 + 1}"


def sign_many(credentials, action, choices, count, path):
    """Writes signed paths. All but nonce and signature of each choice is computed once."""
    key = f"{credentials['access_key_secret']}&".encode()
    prepared = []
    for parameters in choices:
        everything = {
            "AccessKeyId": credentials["access_key_id"], "Action": action, "Format": "JSON", "SignatureMethod": "HMAC-SHA1",
            "SignatureNonce": "", "SignatureVersion": "1.0", "Timestamp": utc(), "Version": VERSION, **parameters,
        }  # fmt: skip
        query = "&".join(f"{percent_encode(name)}={percent_encode(value)}" for name, value in sorted(everything.items()))
        before, after = query.split("SignatureNonce=")
        before += "SignatureNonce="
        mac = hmac.new(key, f"GET&%2F&{percent_encode(before)}".encode(), hashlib.sha1)
        prepared.append((f"/?{before}", after, mac, percent_encode(after).encode()))
    chance = random.Random(count)
    start = f"{os.getpid():x}-{time.time_ns():x}-"
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(file_of(path, thread).open("w")) for thread in range(THREADS)]
        for number in range(count):
            head, tail, mac, encoded_tail = chance.choice(prepared)
            nonce = f"{start}{number:x}"
            mac = mac.copy()
            mac.update(nonce.encode() + encoded_tail)
            signature = base64.b64encode(mac.digest()).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
            files[number % THREADS].write(f"{head}{nonce}{tail}&Signature={signature}\n")


def file_of(path, thread):
    """The file of one thread of wrk."""
    return path.with_name(f"{path.name}.{thread}")


def wrk(url, path, seconds):
    """Calls a second, p50 and p99 in milliseconds."""
    command = ["wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", ROOT / "bench/replay.lua", url, "--", path]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, duration, p50, p99, bad, used_up, errors = map(int, line.split()[1:])
    assert not bad and not errors, f"{bad} answers other than 200, {errors} errors of connections: {output}"
    assert not used_up, "not enough requests were signed for the time"
    return requests / duration * 1e6, p50 / 1000, p99 / 1000


class Bench:
    """Runs of all kinds against one service."""

    def __init__(self, service, workplace, seconds, rounds):
        self.service, self.workplace, self.seconds, self.rounds = service, workplace, seconds, rounds

    def rate(self, label, credentials, action, choices, https, expected):
        """Median of the rounds; prints it."""
        url = self.service.credentials["https_endpoint" if https else "http_endpoint"]
        path = self.workplace / "requests"
        results = []
        for _ in range(self.rounds):
            if action is None:
                for thread in range(THREADS):
                    file_of(path, thread).write_text("/healthz\n" * (expected * self.seconds))
            else:
                sign_many(credentials, action, choices, int(expected * self.seconds * 2), path)
            results.append(wrk(url, path, self.seconds))
        for thread in range(THREADS):
            file_of(path, thread).unlink()
        rates = [result[0] for result in results]
        median = statistics.median(rates)
        p50, p99 = (statistics.median(result[index] for result in results) for index in (1, 2))
        spread = (max(rates) - min(rates)) / median * 100
        print(f"{label:44} {median:8.0f}/s  spread {spread:3.0f} %  p50 {p50:.2f} ms  p99 {p99:.2f} ms", flush=True)
        return median, p99


def sub_user(service, name, statements):
    """Credentials of a RAM user with these statements."""

    def admin(*arguments):
        command = [service.binary, "admin", *arguments, "--data-dir", service.data_dir, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    account = service.credentials["account_id"]
    document = json.dumps({"Version": "1", "Statement": statements})
    admin("ram-user", "create", "--account-id", str(account), "--user-name", name)
    admin("policy", "attach", "--account-id", str(account), "--user-name", name, "--policy-name", "many", "--document", document)
    key = admin("access-key", "create", "--account-id", str(account), "--user-name", name)
    return {**service.credentials, "access_key_id": key["access_key_id"], "access_key_secret": key["access_key_secret"]}


def allow(*resources):
    """A statement that allows reading."""
    return {"Effect": "Allow", "Action": ["petadata:Describe*"], "Resource": [f"acs:petadata:{resource}" for resource in resources]}


def foreign_statements():
    """100 statements, of which the last alone allows something."""
    return [allow(f"cn-beijing:*:dbinstance/pd-other{number}*") for number in range(99)] + [allow("*:*:dbinstance/*")]


def naming_statements():
    """100 statements, of which 50 name single instances, some to deny them."""
    named = [allow(f"*:*:dbinstance/pd-bench{number:07d}") for number in range(40)]
    denied = [{**allow(f"*:*:dbinstance/pd-bench{number:07d}"), "Effect": "Deny"} for number in range(40, 50)]
    others = [allow(f"cn-beijing:*:dbinstance/pd-other{number}*") for number in range(49)]
    return named + denied + others + [allow("*:*:dbinstance/*")]


def pages(count):
    return [{"PageNumber": str(page), "PageSize": "50"} for page in range(1, count // 50 + 1)]


def instances(count):
    return [{"InstanceId": f"pd-bench{number:07d}"} for number in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=10_000, help="instances of the larger store")
    arguments = parser.parse_args()
    print(machine())
    print(f"{CONNECTIONS} connections, {arguments.rounds} rounds of {arguments.seconds} s, wrk on the same cores")
    service = Service({"log": {"level": "warn"}})
    with tempfile.TemporaryDirectory() as workplace:
        try:
            service.start()
            service.stop()
            seed(service, 1000)
            service.start(timeout=120)
            bench = Bench(service, pathlib.Path(workplace), arguments.seconds, arguments.rounds)
            owner = service.credentials
            reader = sub_user(service, "reader", foreign_statements())
            namer = sub_user(service, "namer", naming_statements())
            few = {}
            base, _ = bench.rate("health probe, HTTP (baseline)", owner, None, [], False, 100_000)
            for https, name in [(False, "HTTP"), (True, "HTTPS")]:
                few["list", https] = bench.rate(f"list, 1,000 instances, {name}", owner, "DescribeInstances", pages(1000), https, 20_000)
                few["info", https] = bench.rate(f"info, 1,000 instances, {name}", owner, "DescribeInstanceInfo", instances(1000), https, 60_000)
            few["list", "ram"] = bench.rate("list as a RAM user, 100 statements", reader, "DescribeInstances", pages(1000), False, 20_000)
            few["list", "named"] = bench.rate("list as a RAM user, single instances named", namer, "DescribeInstances", pages(950), False, 20_000)
            few["list", "tag"] = bench.rate("list by a tag", owner, "DescribeInstances", [{**page, "Tag.1.Key": "env"} for page in pages(1000)], False, 20_000)
            few["info", "ram"] = bench.rate("info as a RAM user, 100 statements", reader, "DescribeInstanceInfo", instances(1000), False, 60_000)
            service.stop()
            seed(service, arguments.many)
            service.start(timeout=300)
            owner = service.credentials
            many = {
                "list": bench.rate(f"list, {arguments.many:,} instances, HTTP", owner, "DescribeInstances", pages(arguments.many), False, 20_000),
                "info": bench.rate(f"info, {arguments.many:,} instances, HTTP", owner, "DescribeInstanceInfo", instances(arguments.many), False, 60_000),
            }
        finally:
            service.destroy()
    print(f"ratio to the health probe: list {few['list', False][0] / base:.3f}, info {few['info', False][0] / base:.3f}")
    for (kind, https), target in {("list", False): 7500, ("list", True): 6500, ("info", False): 25_000, ("info", True): 20_000}.items():
        rate, p99 = few[kind, https]
        print(f"{kind} over {'HTTPS' if https else 'HTTP'}: {rate:.0f} of {target}: {verdict(rate >= target)}; p99 below 10 ms: {verdict(p99 < 10)}")
    for kind in ("named", "tag"):
        share = few["list", kind][0] / few["list", False][0]
        print(f"list, {kind}: {share:.2f} of the tenant's (0.8): {verdict(share >= 0.8)}")
    for kind in ("list", "info"):
        share, growth = few[kind, "ram"][0] / few[kind, False][0], many[kind][0] / few[kind, False][0]
        print(f"{kind}: RAM user {share:.2f} of the tenant (0.8): {verdict(share >= 0.8)}; {arguments.many:,} instances {growth:.2f} of 1,000 (0.85): {verdict(growth >= 0.85)}")


if __name__ == "__main__":
    main()
