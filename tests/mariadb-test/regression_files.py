#!/usr/bin/env python3
"""MariaDB's own regression files, recorded over a direct connection and through the gateway.

What `mariadb-test` records of a file must be the same both ways. A file whose recording differs
has to be listed in `differs.toml`, with the reason; one that is listed and does not differ any
more fails, too. Files that cannot run outside MariaDB's harness (they restart the server, need
replication, other options, …) fail on the direct connection already and are left out, as are
those whose recording is different each time.

    regression_files.py                       every fifth file of the main suite
    regression_files.py --every 1             all of them (an hour)
    regression_files.py --protocol ps         by prepared statements; also: cursor, compress
    regression_files.py NAME ...              these files, with the difference shown
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import difflib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

from sides import GATEWAY, PASSWORD, PREPARATION, Gateway, Node, workplace

HERE = pathlib.Path(__file__).resolve().parent
# Where Debian's package puts it; newer ones have the second place.
PLACES = [pathlib.Path("/usr/share") / name / "mysql-test" for name in ("mysql", "mariadb")]
SUITE = next((place for place in PLACES if place.exists()), PLACES[0])
# A file may take this long over the direct connection; slower ones are left out. Through the
# gateway it gets more, since the machine may be busier then: what hangs is found all the same.
DIRECT_SECONDS, GATEWAY_SECONDS = 60, 300

# Logins as root without a password, in files and what they include.
REWRITES = [
    (re.compile(rb"(connect\s*\(?\s*[\w$]+\s*,\s*[^,;]*,\s*'?root'?\s*,)\s*,"), rb"\1" + PASSWORD.encode() + b","),
    (re.compile(rb"(connect\s*\(?\s*[\w$]+\s*,\s*[^,;]*,\s*'?root'?)\s*(\)|;|$)", re.M), rb"\1," + PASSWORD.encode() + rb"\2"),
    (re.compile(rb"(change_user\s+'?root'?\s*,)\s*(,|;)"), rb"\1" + PASSWORD.encode() + rb"\2"),
]


@dataclasses.dataclass
class Recording:
    """What came of one run of one file."""

    text: str
    passed: bool


class Suite:
    """A copy of the suite, a data directory to begin from, and runs."""

    def __init__(self, work, gateway, protocol):
        self.work, self.gateway, self.protocol = work, gateway, protocol
        self.files = work / "suite"
        self.template = work / "template"

    def prepare(self):
        """Copies and rewrites the suite; makes the data directory."""
        for part in ("main", "include", "std_data", "suite"):
            (self.files / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(SUITE / part, self.files / part, symlinks=True)
        for path in self.files.rglob("*"):
            if path.suffix in (".test", ".inc") and path.is_file():
                before = text = path.read_bytes()
                for pattern, by in REWRITES:
                    text = pattern.sub(by, text)
                if text != before:
                    path.write_bytes(text)
        with Node(self.template, None) as node:
            node.root(PREPARATION)

    def record(self, name, through_gateway):
        """Runs the file on a node of its own."""
        with tempfile.TemporaryDirectory(dir=self.work, prefix="run-") as run:
            run = pathlib.Path(run)
            with Node(run, self.template) as node:
                if not through_gateway:
                    return self.run_file(name, run, node.port, DIRECT_SECONDS)
                with Gateway(self.gateway, run) as gateway:
                    return self.run_file(name, run, gateway.port, GATEWAY_SECONDS)

    def run_file(self, name, run, port, seconds):
        """Runs the file with that port."""
        files, result = self.files, run / "result"
        login = f"--no-defaults --protocol=tcp --host=127.0.0.1 --port={port} --user=root --password={PASSWORD}"
        environment = {
            **os.environ,
            "MASTER_MYPORT": str(port), "MASTER_MYSOCK": str(run / "node.sock"),
            "MYSQLTEST_VARDIR": str(run), "MYSQL_TEST_DIR": str(files), "MYSQL_TMP_DIR": str(run / "tmp"),
            "MYSQLD_DATADIR": str(run / "data"), "MYSQL_BINDIR": "/usr", "MYSQL_SHAREDIR": "/usr/share/mysql",
            "MYSQL_CHARSETSDIR": "/usr/share/mysql/charsets", "MYSQLTEST_FILE": name, "DEFAULT_MASTER_PORT": str(port),
            "MYSQL": f"mariadb {login}", "MYSQL_DUMP": f"mariadb-dump {login}", "MYSQLADMIN": f"mariadb-admin {login}",
            "MYSQL_CHECK": f"mariadb-check {login}", "MYSQL_SHOW": f"mariadb-show {login}", "MYSQL_IMPORT": f"mariadb-import {login}",
            "MYSQL_BINLOG": "mariadb-binlog --no-defaults", "MYSQL_SLAP": f"mariadb-slap {login}", "TZ": "GMT-3", "LC_ALL": "C",
        }  # fmt: skip
        command = [
            "mysqltest", "--no-defaults", "--silent", "--protocol=tcp", "--host=127.0.0.1", f"--port={port}", "--user=root",
            f"--password={PASSWORD}", "--database=test", f"--tmpdir={run / 'tmp'}", f"--logdir={run / 'tmp'}", f"--basedir={files}",
            "--character-sets-dir=/usr/share/mysql/charsets", f"--test-file={files / 'main' / name}.test", "--record",
            f"--result-file={result}", f"--timer-file={run / 'timer'}", "--max-connections=2048", *self.protocol,
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=files, env=environment, capture_output=True, text=True, errors="replace",
                                  timeout=seconds, start_new_session=True, stdin=subprocess.DEVNULL)  # fmt: skip
        except subprocess.TimeoutExpired:
            return Recording("it took too long\n", False)
        text = result.read_text(errors="backslashreplace") if result.exists() else ""
        if done.returncode:
            text += f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return Recording(self.normalise(text, run, port), done.returncode == 0)

    def normalise(self, text, run, port):
        """Takes out what is different for each run: places and ports."""
        return re.sub(rf"\b{port}\b", "PORT", text.replace(str(run), "RUN").replace(str(self.work), "WORK"))


def compare(suite, name):
    """The verdict on a file, and how the recordings differ."""
    direct = suite.record(name, through_gateway=False)
    if not direct.passed:
        return "left out", direct.text
    gateway = suite.record(name, through_gateway=True)
    if gateway.text == direct.text:
        return "same", ""
    # A file that waits for others may record what depends on the time.
    again = [suite.record(name, through_gateway) for through_gateway in (False, True)]
    if again[0].text != direct.text or again[1].text == direct.text:
        return "unstable", ""
    lines = difflib.unified_diff(direct.text.splitlines(), gateway.text.splitlines(), "direct", "gateway", lineterm="", n=2)
    return "differs", "\n".join(lines)


def files(every):
    """Every so many of the main suite's files."""
    names = sorted(path.stem for path in (SUITE / "main").glob("*.test"))
    return names[::every]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--protocol", choices=["ps", "cursor", "sp", "view", "compress"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--gateway", default=GATEWAY)
    parser.add_argument("--verbose", action="store_true", help="shows why files are left out")
    arguments = parser.parse_args()
    protocol = {None: [], "compress": ["--compress"]}.get(arguments.protocol, [f"--{arguments.protocol}-protocol"])
    listed = tomllib.loads((HERE / "differs.toml").read_text())
    counts, wrong = collections.Counter(), []
    with workplace() as work:
        suite = Suite(pathlib.Path(work), arguments.gateway, protocol)
        suite.prepare()
        names = arguments.names or files(arguments.every)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            runs = {pool.submit(compare, suite, name): name for name in names}
            for run in concurrent.futures.as_completed(runs):
                name, (verdict, text) = runs[run], run.result()
                counts[verdict] += 1
                if verdict == "differs" and name in listed:
                    counts["of these listed"] += 1
                elif verdict == "differs" or (verdict == "same" and name in listed):
                    wrong.append(name)
                    print(f"{name}: {verdict}{', but listed' if name in listed else ''}\n{text}", flush=True)
                if verdict == "unstable":
                    print(f"{name}: unstable", flush=True)
                if (verdict == "left out" and arguments.verbose) or (arguments.names and name in listed):
                    print(f"{name}: {verdict}\n{text}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if not counts["same"]:
        sys.exit("no file was the same: nothing was tested")
    if wrong:
        sys.exit(f"{len(wrong)} files are not as differs.toml has them: {' '.join(sorted(wrong))}")


if __name__ == "__main__":
    main()
