"""A service under test: its own data directory, ports and configuration, and a look at what
it leaves behind."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .api import Api, poll

ROOT = pathlib.Path(__file__).resolve().parents[3]
RELEASE = pathlib.Path(os.environ.get("OPENPETA_BIN", ROOT / "target/release/openpeta"))
DEBUG = pathlib.Path(os.environ.get("OPENPETA_DEBUG_BIN", ROOT / "target/debug/openpeta"))
# Ports handed to Classic instances of one service.
PORTS_PER_SERVICE = 32


class StartError(Exception):
    """The service ended before it was ready."""

    def __init__(self, code, log):
        self.code = code
        self.log = log
        super().__init__(f"exit code {code}: {log[-2000:]}")


class Service:
    """One data directory and the process that serves it. `start` as often as wanted."""

    def __init__(self, config=None, binary=RELEASE, environment=None):
        # Not mkdtemp's 0700 alone: nodes run as another user and must get through.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="openpeta-test-"))
        self.home.chmod(0o711)
        self.data_dir = self.home / "data"
        self.log_path = self.home / "service.log"
        self.config_path = self.home / "openpeta.toml"
        self.binary = binary
        self.environment = environment or {}
        self.process = None
        self.config = merge(default_config(), config or {})
        self.http_listen = "127.0.0.1:0"
        self.https_listen = "127.0.0.1:0"

    # Life.

    def start(self, timeout=60, environment=None):
        """Starts the process and waits until it is ready; raises `StartError` if it ends."""
        self.config_path.write_text(to_toml(self.config))
        log = self.log_path.open("ab")
        started = log.tell()
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **self.environment, **(environment or {})},
        )
        log.close()
        ready = threading.Event()
        threading.Thread(target=self._read_output, args=(self.process, ready), daemon=True).start()
        deadline = time.monotonic() + timeout
        while not ready.wait(0.01):
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise StartError(code, self.log_path.read_bytes()[started:].decode(errors="replace"))
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError("not ready in time: " + self.log()[-2000:])
        return self

    def command(self):
        """The command line."""
        return [
            str(self.binary), "serve",
            "--data-dir", str(self.data_dir),
            "--config", str(self.config_path),
            "--http-listen", self.http_listen,
            "--https-listen", self.https_listen,
        ]  # fmt: skip

    def _read_output(self, process, ready):
        # Everything that the process says is kept, for the search for secrets.
        with self.log_path.open("ab") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                if line.startswith(b"ready"):
                    ready.set()

    def stop(self, timeout=40):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def kill(self):
        """SIGKILL, as a crash of the service alone: nodes are left."""
        self.process.kill()
        self.process.wait()
        self.process = None

    @property
    def running(self):
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        """The process id."""
        return self.process.pid

    # What it says of itself.

    @property
    def credentials(self):
        """The content of credentials.json."""
        return json.loads((self.data_dir / "credentials.json").read_text())

    def api(self):
        """A signed client with the default tenant's key."""
        return Api(self.credentials)

    def admin(self, *words):
        """The reply to a command of the operator."""
        command = [self.binary, "admin", *words, "--json"]
        environment = {**os.environ, "OPENPETA_DATA_DIR": str(self.data_dir)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def log(self):
        """All that the service wrote so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # What the machine says of it.

    def node_root(self):
        """The directory of all nodes, without symbolic links."""
        return (self.data_dir / "nodes").resolve()

    def node_dirs(self):
        """Directories of nodes, spare ones included."""
        root = self.node_root()
        return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []

    def node_pids(self):
        """Ids of `mariadbd` processes that belong to the data directory."""
        return sorted(pid for pid, name in self.processes().items() if name == "mariadbd")

    def processes(self):
        """Names by id of processes that mention the data directory, the service itself not."""
        marks = {str(self.data_dir), str(self.node_root())}
        own = self.process.pid if self.process else None
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in (own, os.getpid()):
                continue
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                directory = os.readlink(entry / "cwd")
                name = (entry / "comm").read_text().strip()
            except OSError:
                continue
            if any(mark in command or directory.startswith(mark) for mark in marks):
                found[int(entry.name)] = name
        return found

    def listening(self):
        """Ports out of the service's own range on which something listens."""
        network = self.config["network"]
        return listening_ports(network["classic_port_first"], network["classic_port_last"])

    def leftovers(self):
        """What is left after everything was deleted and the service stopped, in words."""
        left = []
        left += [f"process {pid} {name}" for pid, name in self.processes().items()]
        left += [f"port {port}" for port in self.listening()]
        left += [f"directory {path}" for path in self.node_dirs()]
        return left

    def destroy(self):
        """Stops whatever still runs and removes the directory. `OPENPETA_TEST_LOGS` names a
        directory that keeps the logs."""
        if self.running:
            self.process.kill()
            self.process.wait()
        self.process = None
        for pid in self.processes():
            end(pid)
        if (keep := os.environ.get("OPENPETA_TEST_LOGS")) and self.log_path.exists():
            shutil.copy(self.log_path, pathlib.Path(keep) / f"{self.home.name}.log")
        roots = {self.node_root().parent, (self.data_dir / "template").resolve().parent}
        for root in roots:
            if root != self.data_dir and str(root).startswith("/var/lib/openpeta/"):
                shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.destroy()


def end(pid):
    """Kills a process and waits until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    poll(lambda: not alive(pid), 10, f"process {pid} does not end")


def alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def listening_ports(first, last):
    """TCP ports in a range on which something listens, whatever the address."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == "0A" and first <= port <= last:
                found.add(port)
    return sorted(found)


def default_config():
    """Ports and addresses that no other service on the machine uses, and no spare nodes."""
    first = free_port_block()
    network = free_network()
    return {
        "network": {
            "classic_port_first": first,
            "classic_port_last": first + PORTS_PER_SERVICE - 1,
            "default_vpc_cidr": f"127.{network}.0.0/16",
            "default_vswitch_cidr": f"127.{network}.16.0/20",
        },
        "nodes": {"spare": 0},
        # What is deleted is to leave nothing; the test of the recycle bin says otherwise.
        "backup": {"recycle_days": 0},
        "gateway": {"drain_seconds": 2},
        "api": {"shutdown_seconds": 5},
    }


def free_port_block():
    """The first of so many free ports below those of outgoing connections."""
    while True:
        first = random.randrange(20_064, 32_000, PORTS_PER_SERVICE)
        if claim(f"ports-{first}") and not listening_ports(first, first + PORTS_PER_SERVICE - 1):
            return first


def free_network():
    """The second number of a network of addresses of this machine."""
    while True:
        network = random.randrange(32, 250)
        if claim(f"network-{network}"):
            return network


_claims = []


def claim(name):
    """Takes something for this process alone, until it ends; whether nobody had it."""
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0openpeta-clients-{name}")
    except OSError:
        holder.close()
        return False
    _claims.append(holder)
    return True


def merge(base, over):
    """Nested dictionaries, those of `over` first."""
    merged = dict(base)
    for key, value in over.items():
        merged[key] = merge(base.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def to_toml(tables):
    """Tables of plain values as TOML."""
    lines = []
    for table, values in tables.items():
        plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
        if plain:
            lines.append(f"[{table}]")
            # JSON's numbers, strings, booleans and lists are TOML's as well.
            lines += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
        for key, value in values.items():
            if isinstance(value, dict):
                lines.append(f'[{table}."{key}"]')
                lines += [f"{name} = {json.dumps(item)}" for name, item in value.items()]
    return "\n".join(lines) + "\n"


def free_port():
    """A free TCP port on the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
