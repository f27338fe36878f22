"""The two ways to a database: a node of its own for each run, and a gateway in front of it."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GATEWAY = ROOT / "target/debug/examples/relay_one"
PASSWORD = "secret"

NODE_OPTIONS = """
[mariadbd]
{user}
datadir={work}/data
socket={work}/node.sock
pid-file={work}/node.pid
log-error={work}/error.log
tmpdir={work}/tmp
port={port}
bind-address=127.0.0.1
skip-name-resolve
proxy-protocol-networks=localhost
character-set-server=latin1
connect-timeout=60
secure-file-priv=
plugin-maturity=unknown
local-infile
log-bin-trust-function-creators=1
key-buffer-size=1M
sort-buffer-size=256K
max-heap-table-size=1M
innodb-data-file-path=ibdata1:12M:autoextend
innodb-buffer-pool-size=24M
innodb-log-buffer-size=2M
innodb-log-file-size=10M
innodb-flush-log-at-trx-commit=0
default-storage-engine=myisam
use-stat-tables=preferably
performance-schema=OFF
"""

# The account is root, as in the files, but has a password: the gateway knows none without.
PREPARATION = f"""
-- The node would take it, not root@'%', for a client on this machine that comes by the socket.
RENAME USER root@localhost TO keeper@localhost;
DROP USER IF EXISTS root@'127.0.0.1', root@'::1';
CREATE USER root@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
INSERT INTO mysql.proxies_priv VALUES ('%', 'root', '', '', 1, '', CURRENT_TIMESTAMP);
CREATE DATABASE IF NOT EXISTS test;
CREATE DATABASE mtr;
CREATE TABLE mtr.test_suppressions (pattern VARCHAR(255));
CREATE PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) INSERT INTO mtr.test_suppressions VALUES (pattern);
"""


class Node:
    """A real mariadbd with a data directory of its own, made new or copied from a template."""

    def __init__(self, work, template, options=NODE_OPTIONS):
        self.work, self.template, self.options, self.process = work, template, options, None

    def __enter__(self):
        user = "user=mysql" if os.getuid() == 0 else ""
        if self.template:
            shutil.copytree(self.template / "data", self.work / "data")
        (self.work / "tmp").mkdir(parents=True)
        self.port = free_port()
        options = self.work / "node.cnf"
        options.write_text(self.options.format(user=user, work=self.work, port=self.port))
        if user:
            subprocess.run(["chown", "-R", "mysql", self.work], check=True)
            os.chmod(self.work, 0o755)
        if not self.template:
            install = ["mariadb-install-db", f"--defaults-file={options}", "--skip-test-db", "--auth-root-authentication-method=normal"]
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.process = subprocess.Popen(["mariadbd", f"--defaults-file={options}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not accepts(self.work / "node.sock"):
            if self.process.poll() is not None:
                sys.exit((self.work / "error.log").read_text())
            time.sleep(0.02)
        return self

    def root(self, statements):
        """Runs statements as the node's own root."""
        command = ["mariadb", "--no-defaults", f"--socket={self.work}/node.sock", "--user=root"]
        subprocess.run(command, input=statements, text=True, check=True)

    def __exit__(self, *_):
        if self.template:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait()


class Gateway:
    """A gateway in front of one node."""

    def __init__(self, program, work, warm=0):
        # Many files count sessions in the process list, where connections that are kept warm would show.
        self.command = [program, "127.0.0.1:0", work / "node.sock", "root", PASSWORD, PASSWORD, "1", "0", "auto", "1000", str(warm)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def accepts(path):
    """Whether a node greets at this socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
            return bool(client.recv(1))
        except OSError:
            return False


def free_port():
    """A port that nothing uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def workplace():
    """A directory for runs, in memory where that is possible; goes away with its context."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    work = tempfile.TemporaryDirectory(dir=base, prefix="openpeta-mariadb-test-")
    os.chmod(work.name, 0o755)
    return work
