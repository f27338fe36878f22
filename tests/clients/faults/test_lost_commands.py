"""A node dies under statements: every client reports a lost connection, as it would directly, and logs in again."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

import pytest

import drivers
from conftest import Instance
from harness.api import endpoint_of, poll
from test_go import GOPATH

SLEEP = "SELECT SLEEP(600) + {}"
GO = pathlib.Path(__file__).parents[1] / "go" / "lost" / "main.go"


def mariadb(instance, *words):
    """MariaDB's own client, which is libmariadb."""
    command = ["mariadb", "--no-defaults", f"-h{instance.host}", f"-P{instance.port}", f"-u{instance.user}", *words, instance.database]
    environment = {**os.environ, "MYSQL_PWD": instance.password}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


class Clients:
    """Each runs a statement in a thread of its own, and leaves what it reports."""

    def __init__(self, instance, go):
        self.instance, self.reports = instance, {}
        shells = {"mariadb": ["--skip-ssl"], "mariadb-tls": [f"--ssl-ca={instance.ca_file}"], "mariadb-compressed": ["--skip-ssl", "--compress"]}
        works = {name: lambda sleep, words=words: self.shell(sleep, *words) for name, words in shells.items()}
        works |= {name: lambda sleep, connect=connect: self.driver(sleep, connect) for name, connect in drivers.ALL.items()}
        works["go"] = lambda sleep: self.go(sleep, go)
        self.threads = [
            threading.Thread(target=self.work, args=(name, work, SLEEP.format(number))) for number, (name, work) in enumerate(works.items())
        ]
        for thread in self.threads:
            thread.start()

    def work(self, name, work, sleep):
        try:
            self.reports[name] = work(sleep)
        except Exception as error:  # noqa: BLE001
            self.reports[name] = repr(error)

    def shell(self, sleep, *words):
        """Its number of the error, or all that it told."""
        told = mariadb(self.instance, *words, "-e", sleep).stderr
        found = re.findall(r"^ERROR (\d+)", told, re.MULTILINE)
        return found[0] if len(found) == 1 else told

    def driver(self, sleep, connect):
        connection = connect(self.instance)
        with pytest.raises(drivers.ERRORS) as caught:
            connection.cursor().execute(sleep)
        return str(drivers.number(caught.value))

    def go(self, sleep, program):
        to = self.instance
        dsn = f"{to.user}:{to.password}@tcp({to.host}:{to.port})/{to.database}"
        return subprocess.run([program, dsn, sleep], capture_output=True, text=True, timeout=120, check=True).stdout

    def join(self):
        for thread in self.threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in self.threads), self.reports
        return self.reports


def test_every_client_reports_a_lost_connection(own, tmp_path):
    program = tmp_path / "lost"
    go = shutil.which("go") or "/usr/local/go/bin/go"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": GOPATH, "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    subprocess.run([go, "build", "-o", program, GO], env=environment, timeout=120, check=True)
    service = own().start()
    api = service.api()
    password = "Passw0rd"
    identifier = api.order(AccountPassword=password, DBName="shop", AccountName="alice")["InstanceId"]
    host, port = endpoint_of(api.wait_active(identifier))
    instance = Instance(identifier, host, port, "alice", password, "shop", service.credentials["ca_file"])
    [node] = service.node_pids()
    clients = Clients(instance, program)
    watcher = drivers.pymysql_plain(instance)

    def running():
        with watcher.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(600)%'")
            return cursor.fetchone()[0]

    poll(lambda: running() == len(clients.threads) or clients.reports, 60, "not all run")
    assert not clients.reports
    os.kill(node, signal.SIGKILL)
    reports = clients.join()
    # Go's driver has no numbers of its own.
    assert reports.pop("go") == "lost\nthen <nil>\n", reports
    # Never 2027, which is libmariadb's word for an error that no server may send.
    assert reports == dict.fromkeys(reports, "2013"), reports
    for connect in drivers.ALL.values():
        poll(lambda: works(connect, instance), 30, "no login")
    assert mariadb(instance, "--skip-ssl", "-Ne", "SELECT 7").stdout == "7\n"


def works(connect, instance):
    """Whether a new login does."""
    try:
        connection = connect(instance)
    except drivers.ERRORS:
        return False
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    found = list(cursor.fetchall()) == [(1,)]
    connection.close()
    return found
