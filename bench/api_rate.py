#!/usr/bin/env python3
"""Signed calls a second: DescribeInstances (page of 50) and DescribeInstanceInfo, over HTTP and
HTTPS, over 1,000 and 10,000 instances. Then, call by call, a RAM user with 100 policy statements
against the tenant that sends the same: listings with and without a tag, of databases and of tags. A
round of such a pair is a run of each right after the other; its ratio is the median over the rounds,
so that what else the machine does counts little; as little as in the processor time that the service
takes a call. 16 kept connections; wrk on the same cores replays requests that were signed before, each
with a nonce of its own and a random page or instance.

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
    """Calls, calls a second, p50 and p99 in milliseconds."""
    command = ["wrk", "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", ROOT / "bench/replay.lua", url, "--", path]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT"))
    requests, duration, p50, p99, bad, used_up, errors = map(int, line.split()[1:])
    assert not bad and not errors, f"{bad} answers other than 200, {errors} errors of connections: {output}"
    assert not used_up, "not enough requests were signed for the time"
    return requests, requests / duration * 1e6, p50 / 1000, p99 / 1000


def cpu_seconds(pid):
    """What a process has used of the processors so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """Runs of all kinds against one service."""

    def __init__(self, service, workplace, seconds, rounds):
        self.service, self.workplace, self.seconds, self.rounds = service, workplace, seconds, rounds

    def run(self, credentials, action, choices, https, expected):
        """One run: calls a second, p50 and p99, microseconds of the service's processor time a call."""
        url = self.service.credentials["https_endpoint" if https else "http_endpoint"]
        path = self.workplace / "requests"
        if action is None:
            for thread in range(THREADS):
                file_of(path, thread).write_text("/healthz\n" * (expected * self.seconds))
        else:
            sign_many(credentials, action, choices, int(expected * self.seconds * 2), path)
        try:
            before = cpu_seconds(self.service.pid)
            calls, rate, p50, p99 = wrk(url, path, self.seconds)
            return rate, p50, p99, (cpu_seconds(self.service.pid) - before) / calls * 1e6
        finally:
            for thread in range(THREADS):
                file_of(path, thread).unlink()

    def rate(self, label, credentials, action, choices, https, expected):
        """Median of the rounds; prints it."""
        results = [self.run(credentials, action, choices, https, expected) for _ in range(self.rounds)]
        rates = [result[0] for result in results]
        median = statistics.median(rates)
        p50, p99 = (statistics.median(result[index] for result in results) for index in (1, 2))
        spread = (max(rates) - min(rates)) / median * 100
        print(f"{label:44} {median:8.0f}/s  spread {spread:3.0f} %  p50 {p50:.2f} ms  p99 {p99:.2f} ms", flush=True)
        return median, p99

    def share(self, label, user, action, choices, expected=20_000):
        """How a user's rate compares with the tenant's for the same calls; prints and returns the median ratio."""
        owner = self.service.credentials
        runs = {"owner": [], "user": []}
        for number in range(self.rounds):
            for who in ["owner", "user"] if number % 2 == 0 else ["user", "owner"]:
                runs[who].append(self.run(owner if who == "owner" else user, action, choices, False, expected))
        ratios = sorted(theirs[0] / own[0] for own, theirs in zip(runs["owner"], runs["user"], strict=True))
        median = statistics.median(ratios)
        own, theirs = ([statistics.median(column) for column in zip(*runs[who], strict=True)] for who in ("owner", "user"))
        print(
            f"{label:52} {theirs[0]:6.0f}/s of {own[0]:6.0f}/s: {median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f});"
            f" cpu a call {theirs[3]:.0f} µs of {own[3]:.0f} µs; 0.8: {verdict(median >= 0.8)}",
            flush=True,
        )
        return median


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


def allow(*resources, effect="Allow", **condition):
    """A statement about reading."""
    resources = [f"acs:petadata:{resource}" for resource in resources]
    return {"Effect": effect, "Action": ["petadata:Describe*", "petadata:List*"], "Resource": resources, "Condition": condition}


def foreign_statements():
    """100 statements, of which the last alone allows something."""
    return [allow(f"cn-beijing:*:dbinstance/pd-other{number}*") for number in range(99)] + [allow("*:*:dbinstance/*")]


def naming_statements():
    """100 statements, of which 50 name single instances, some to deny them, and 20 have conditions that hold."""
    named = [allow(f"*:*:dbinstance/{instance_id(number)}") for number in range(40)]
    denied = [allow(f"*:*:dbinstance/{instance_id(number)}", effect="Deny") for number in range(40, 50)]
    here = {"IpAddress": {"acs:SourceIp": "127.0.0.0/8"}, "DateLessThan": {"acs:CurrentTime": "2999-01-01T00:00:00Z"}}
    others = [allow(f"cn-beijing:*:dbinstance/pd-other{number}*", **(here if number < 20 else {})) for number in range(49)]
    return named + denied + others + [allow("*:*:dbinstance/*")]


def picking_statements():
    """100 statements, of which 50 name the single instances that may be seen."""
    return [allow(f"*:*:dbinstance/{instance_id(number)}") for number in range(50)] + foreign_statements()[:50]


def instance_id(number):
    return f"pd-bench{number:07d}"


def pages(count):
    return [{"PageNumber": str(page), "PageSize": "50"} for page in range(1, count // 50 + 1)]


def instances(count):
    return [{"InstanceId": instance_id(number)} for number in range(count)]


def tagged(choices):
    return [{**choice, "Tag.1.Key": "env"} for choice in choices]


def compare_users(bench, count, users):
    """The RAM users against the tenant, all over so many instances; the lowest ratio."""
    of = f"of {count:,}"
    tags = [{"RegionId": "cn-hangzhou", "ResourceType": "dbinstance"}]
    # What the tenant is asked for, the user sees, too, but for the instances denied to it.
    listed, first = pages(count - 50), pages(50)
    return min(
        bench.share(f"list {of}, statements about others", users["reader"], "DescribeInstances", listed),
        bench.share(f"list {of}, single instances named", users["namer"], "DescribeInstances", listed),
        bench.share(f"list {of} by a tag, single instances named", users["namer"], "DescribeInstances", tagged(listed)),
        bench.share(f"list {of}, only named ones seen", users["picker"], "DescribeInstances", first),
        bench.share(f"databases {of}, single instances named", users["namer"], "DescribeDatabaseList", listed),
        bench.share(f"tags {of}, single instances named", users["namer"], "ListTagResources", tags),
        bench.share(f"tags {of} by a tag, single instances named", users["namer"], "ListTagResources", tagged(tags)),
        bench.share(f"info {of}, statements about others", users["reader"], "DescribeInstanceInfo", instances(count), 60_000),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=10_000, help="instances of the larger store")
    parser.add_argument("--users-only", action="store_true", help="only the RAM users against the tenant")
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
            statements = {"reader": foreign_statements(), "namer": naming_statements(), "picker": picking_statements()}
            users = {name: sub_user(service, name, those) for name, those in statements.items()}
            few, lowest = {}, {}
            if not arguments.users_only:
                base, _ = bench.rate("health probe, HTTP (baseline)", owner, None, [], False, 100_000)
                for https, name in [(False, "HTTP"), (True, "HTTPS")]:
                    few["list", https] = bench.rate(f"list, 1,000 instances, {name}", owner, "DescribeInstances", pages(1000), https, 20_000)
                    few["info", https] = bench.rate(f"info, 1,000 instances, {name}", owner, "DescribeInstanceInfo", instances(1000), https, 60_000)
            lowest[1000] = compare_users(bench, 1000, users)
            service.stop()
            seed(service, arguments.many)
            service.start(timeout=300)
            owner = service.credentials
            if not arguments.users_only:
                many = {
                    "list": bench.rate(f"list, {arguments.many:,} instances, HTTP", owner, "DescribeInstances", pages(arguments.many), False, 20_000),
                    "info": bench.rate(f"info, {arguments.many:,} instances, HTTP", owner, "DescribeInstanceInfo", instances(arguments.many), False, 60_000),
                }
            lowest[arguments.many] = compare_users(bench, arguments.many, users)
        finally:
            service.destroy()
    for count, share in lowest.items():
        print(f"RAM users over {count:,} instances: at least {share:.2f} of the tenant (0.8): {verdict(share >= 0.8)}")
    if not arguments.users_only:
        judge(base, few, many, arguments.many)


def judge(base, few, many, count):
    """Prints what the tenant's own rates come to."""
    print(f"ratio to the health probe: list {few['list', False][0] / base:.3f}, info {few['info', False][0] / base:.3f}")
    for (kind, https), target in {("list", False): 7500, ("list", True): 6500, ("info", False): 25_000, ("info", True): 20_000}.items():
        rate, p99 = few[kind, https]
        print(f"{kind} over {'HTTPS' if https else 'HTTP'}: {rate:.0f} of {target}: {verdict(rate >= target)}; p99 below 10 ms: {verdict(p99 < 10)}")
    for kind in ("list", "info"):
        growth = many[kind][0] / few[kind, False][0]
        print(f"{kind}: {count:,} instances {growth:.2f} of 1,000 (0.85): {verdict(growth >= 0.85)}")


if __name__ == "__main__":
    main()
