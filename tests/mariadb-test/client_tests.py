#!/usr/bin/env python3
"""MariaDB's tests of its client library (`mariadb-client-test`), directly and through the gateway.

Each of its tests is run by itself, both ways; one that passes directly has to pass through the
gateway, but for those in `REFUSED`.

    client_tests.py              all
    client_tests.py NAME ...     these, with what they print
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

from sides import GATEWAY, PASSWORD, PREPARATION, Gateway, Node, workplace

PROGRAM = "mariadb-client-test"
# A test that hangs is ended after this.
SECONDS = 60
# Tests that cannot pass through the gateway, and why.
REFUSED = {
    "test_bug31669": "logs in as accounts made by SQL, which the gateway does not know",
    "test_change_user": "logs in as accounts made by SQL, which the gateway does not know",
}


def names():
    """All tests there are."""
    shown = subprocess.run([PROGRAM, "--no-defaults", "--show-tests"], capture_output=True, text=True).stdout
    return [line.strip() for line in shown.splitlines() if line.startswith("test_") or line.startswith("\ttest_")]


def run(name, run_in, port):
    """Whether one test passes, and what it printed."""
    login = ["--host=127.0.0.1", f"--port={port}", "--user=root", f"--password={PASSWORD}"]
    command = [PROGRAM, "--no-defaults", *login, f"--vardir={run_in}", "--silent", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS, cwd=run_in / "tmp")
    except subprocess.TimeoutExpired:
        return False, "it took too long"
    return done.returncode == 0, done.stdout + done.stderr


def compare(work, gateway, some):
    """The verdicts on some tests, run one after the other on two nodes: `(name, verdict, text)`."""
    verdicts = []
    with tempfile.TemporaryDirectory(dir=work) as one, tempfile.TemporaryDirectory(dir=work) as other:
        one, other = pathlib.Path(one), pathlib.Path(other)
        template = work / "template"
        with Node(one, template) as direct, Node(other, template) as behind, Gateway(gateway, other) as relayed:
            for name in some:
                passes, _ = run(name, one, direct.port)
                if not passes:
                    verdicts.append((name, "left out", ""))
                    continue
                passes, text = run(name, other, relayed.port)
                verdicts.append((name, "passes" if passes else "fails", text))
                assert behind.process.poll() is None, f"{name} ended the node"
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--gateway", default=GATEWAY)
    arguments = parser.parse_args()
    chosen = arguments.names or names()
    counts, wrong = collections.Counter(), []
    with workplace() as work, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        work = pathlib.Path(work)
        with Node(work / "template", None) as node:
            node.root(PREPARATION)
        shares = [chosen[share :: arguments.jobs] for share in range(arguments.jobs)]
        for verdicts in pool.map(lambda share: compare(work, arguments.gateway, share), shares):
            for name, verdict, text in verdicts:
                counts[verdict] += 1
                if (verdict == "fails") != (name in REFUSED) or arguments.names:
                    print(f"{name}: {verdict}\n{text[-1500:]}", flush=True)
                if (verdict == "fails") != (name in REFUSED):
                    wrong.append(name)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if not counts["passes"]:
        sys.exit("no test passed: nothing was tested")
    if wrong:
        sys.exit(f"not as expected: {' '.join(sorted(wrong))}")


if __name__ == "__main__":
    main()
