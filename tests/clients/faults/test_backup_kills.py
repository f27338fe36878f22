"""The service, a node, the backup tool or the way to the server that keeps the sets is killed at random
moments while sets are taken, stored, restored, proven and deleted. Afterwards whatever is called a success is one, to the last row; what is not says why; and
nothing is left on disk of what is not listed.

BACKUP_KILLS kills that often in each test (3 without it), BACKUP_KILLS_SEED repeats a run."""

import hashlib
import http.client
import os
import random
import subprocess
import sys
import threading
import time

import pymysql

import test_object_storage as storage
from harness.api import ApiError, endpoint_of, poll
from harness.service import end

KILLS = int(os.environ.get("BACKUP_KILLS", "3"))
SEED = int(os.environ.get("BACKUP_KILLS_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
PASSWORD = "Passw0rd!"
ROWS = 4_000
MOST_SETS = 4
# What a call may end with when the service dies under it.
LOST = (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError)


# Programs that copy data files.
TOOLS = ("mariadb-backup", "mbstream")
# Passes bytes on between whoever connects and a port.
FORWARDER = """
import asyncio, sys
async def pump(source, target):
    try:
        while data := await source.read(65536):
            target.write(data); await target.drain()
    except OSError:
        pass
    target.close()
async def serve(reader, writer):
    ahead = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(pump(reader, ahead[1]), pump(ahead[0], writer))
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[2]))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Storage:
    """An S3 server that is reached through a process which can be killed: the server has all in memory."""

    def __init__(self, home):
        self.server, self.port = storage.S3(storage.certificate(home)), 0
        self.begin()

    def begin(self):
        command = [sys.executable, "-c", FORWARDER, str(self.server.port), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline())

    def cut(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def sets(self):
        return {name.split("/")[2] for name in self.server.names()}

    def end(self):
        self.cut()
        self.server.kill()

    def config(self, home):
        """What a service needs that keeps its sets there."""
        credentials, keys = home / "s3-credentials", home / "keys"
        for path, text in (
            (credentials, f"[default]\naws_access_key_id = key\naws_secret_access_key = {storage.SECRET}\n"),
            (keys, storage.KEY),
        ):
            path.touch(0o600)
            path.write_text(text)
        return {
            "store": f"s3://{storage.BUCKET}/{storage.PREFIX}",
            "log_upload_seconds": 1,
            "encryption_key_file": str(keys),
            "s3": {
                "endpoint": f"https://127.0.0.1:{self.port}",
                "credentials_file": str(credentials),
                "ca_file": self.server.certificate[0],
                "retry_seconds": 3,
            },
        }


class World:
    """A service with one instance, and what its backup sets hold."""

    def __init__(self, service, store=None):
        self.random, self.service, self.store = random.Random(SEED), service, store
        self.api = service.api()
        self.id = self.api.order()["InstanceId"]
        # By set, and by the last transaction of each round.
        self.content, self.points = {}, []
        self.counts, self.target, self.expected = {}, None, None
        self.session = self.connect(self.id)
        self.api.call("ModifyBackupPolicy", InstanceId=self.id, DBName="shop", EnableBinlogBackup="true")
        self.sql("CREATE TABLE item (id INT PRIMARY KEY, v VARCHAR(1000))")
        self.sql(f"INSERT INTO item SELECT seq, REPEAT(MD5(seq), 31) FROM seq_1_to_{ROWS}")
        self.sql("CREATE VIEW total AS SELECT COUNT(*) AS how_many FROM item")

    def connect(self, instance_id):
        endpoint = endpoint_of(self.api.wait_active(instance_id, 120))

        def attempt():
            try:
                return pymysql.connect(
                    host=endpoint[0], port=endpoint[1], user="alice", password=PASSWORD, database="shop",
                    connect_timeout=5, read_timeout=60, autocommit=True,
                )  # fmt: skip
            except pymysql.err.OperationalError:
                return None

        return poll(attempt, 60, "no connection")

    def sql(self, statement):
        with self.session.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def change(self):
        """Changes some rows; what is there then."""
        self.session = self.connect(self.id)
        for id in self.random.sample(range(1, ROWS), 20):
            self.sql(f"UPDATE item SET v = REPEAT(MD5({self.random.random()}), 31) WHERE id = {id}")
        there = digest(self.session)
        [(gtid,)] = self.sql("SELECT @@GLOBAL.gtid_binlog_pos")
        self.points.append((gtid, there))
        return there

    def sets(self):
        """All sets by id, as the operator sees them."""
        return {one["backup_id"]: one for one in self.service.admin("backup", "list", "--limit", "1000")}

    def whole(self):
        return sorted(id for id, one in self.sets().items() if one["status"] == "Success")

    def tasks(self):
        return self.service.admin("task", "list", "--limit", "1000")

    def settled(self):
        """All tasks, once none is under way."""

        def all_over():
            tasks = self.tasks()
            return tasks if all(task["finish_at"] for task in tasks) else None

        return poll(all_over, 180, lambda: f"seed {SEED}: tasks go on: {[t for t in self.tasks() if not t['finish_at']]}")

    def tools(self):
        return [pid for pid, name in self.service.processes().items() if name in TOOLS]

    def kill(self, victim):
        """Kills something; what it was."""
        if victim == "tool":
            for pid in self.tools()[:1]:
                end(pid)
                return "tool"
        if victim == "storage":
            self.store.cut()
            # Shorter than it is tried again, or longer.
            time.sleep(self.random.choice((0.5, 6)))
            self.store.begin()
            return "storage"
        nodes = self.service.node_pids()
        if victim == "node" and nodes:
            end(self.random.choice(nodes))
            return "node"
        self.service.kill()
        return "service"

    def back(self):
        if not self.service.running:
            self.service.start()
        self.api = self.service.api()

    # What is killed, and what must be true of it afterwards.

    def backup(self):
        kind = self.random.choice(({"BackupMethod": "Logical"}, {"BackupMethod": "Physical"}, {"BackupType": "IncrementalBackup"}))
        if "BackupType" in kind and not any(one["method"] == "Physical" and one["status"] == "Success" for one in self.sets().values()):
            kind = {"BackupMethod": "Physical"}
        return self.api.call("CreateDatabaseBackup", InstanceId=self.id, DBName="shop", **kind)["BackupId"]

    def restore(self):
        return self.restore_set(self.random.choice(self.whole()))

    def restore_set(self, set_id):
        self.expected = self.content[set_id]
        return self.api.call(
            "RestoreDatabase", SrcInstanceId=self.id, SrcDBName="shop", BackupId=set_id, WithAccounts="true"
        )["NewInstanceId"]

    def replay(self):
        """A restore to a transaction since the oldest set."""
        contents = [self.content[id] for id in self.whole()]
        first = min(index for index, (_, there) in enumerate(self.points) if there in contents)
        gtid, self.expected = self.random.choice(self.points[first:])
        return self.api.call(
            "RestoreDatabase",
            SrcInstanceId=self.id, SrcDBName="shop", RestoreType="1", RestoreGtid=gtid, WithAccounts="true",
        )["NewInstanceId"]  # fmt: skip

    def drill(self):
        self.target = self.random.choice(self.whole())
        return self.service.admin("backup", "verify", self.target)

    def prune(self):
        bases = {one["base_id"] for one in self.sets().values() if one["status"] != "Failed"}
        self.target = self.random.choice([id for id in self.whole() if id not in bases])
        return self.service.admin("backup", "delete", self.target)

    def check(self, operation, there, before):
        """Everything that must hold once nothing is under way."""
        tasks = self.settled()
        assert not [task for task in tasks if task["stuck"]], f"stuck: {tasks}"
        for task in tasks:
            assert task["progress"] == 100 or task["message"], f"it does not say why: {task}"
        sets = self.sets()
        for id, one in sets.items():
            assert one["status"] in ("Success", "Failed"), one
            assert one["status"] == "Success" or one["failure"], f"it does not say why: {one}"
            assert not one["verify_failure"], f"a whole set is said to have a fault: {one}"
            if id not in before and one["status"] == "Success":
                self.content[id] = there
        gone = set(before) - set(sets)
        assert gone <= ({self.target} if operation == "prune" else set()), f"{operation} removed {gone}"
        for instance_id in self.api.instances():
            if instance_id != self.id:
                self.same(instance_id)
                self.api.delete(instance_id, 120)
                self.count("restored")
        self.no_leftovers()

    def same(self, instance_id):
        session = self.connect(instance_id)
        found = digest(session)
        session.close()
        assert found == self.expected, f"a restore is another content, seed {SEED}"

    def no_leftovers(self):
        """On disk is what is listed. What is not goes soon after a start."""
        listed = set(self.whole())
        directory = self.service.data_dir / "backups" / self.id

        def on_disk():
            return {path.name for path in directory.iterdir()} if directory.is_dir() else set()

        poll(lambda: on_disk() == listed, 90, lambda: f"seed {SEED}: on disk {on_disk()}, listed {listed}")
        if self.store:
            poll(lambda: self.store.sets() == listed, 90, lambda: f"seed {SEED}: in the bucket {self.store.sets()}, listed {listed}")
        poll(lambda: len(self.service.node_dirs()) == 1, 60, lambda: f"seed {SEED}: nodes {self.service.node_dirs()}")
        poll(lambda: len(self.service.node_pids()) == 1, 60, lambda: f"seed {SEED}: {self.service.processes()}")

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1


def digest(session):
    """What is there, rows and the rest."""
    with session.cursor() as cursor:
        cursor.execute("SELECT id, v FROM item ORDER BY id")
        rows = hashlib.sha256(repr(cursor.fetchall()).encode()).hexdigest()
        cursor.execute("SELECT how_many FROM total")
        return rows, cursor.fetchone()[0]


def test_killed_at_any_moment(own):
    run(World(own({"backup": {"drill_hours": 0}}).start()), ["service", "node", "tool"])


def test_killed_at_any_moment_with_the_sets_in_a_bucket(own, tmp_path):
    store = Storage(tmp_path)
    try:
        # Its own directory is closed to the service's user.
        service = own({"backup": {"drill_hours": 0, "recycle_days": 0}})
        service.config["backup"].update(store.config(service.home))
        run(World(service.start(), store), ["service", "node", "storage", "storage", "tool"])
    finally:
        store.end()


def run(world, victims):
    print(f"BACKUP_KILLS_SEED={SEED}")
    there = world.change()
    first = world.backup()
    world.settled()
    world.content[first] = there
    for _ in range(KILLS):
        there, before = world.change(), world.sets()
        whole = world.whole()
        choices = ["backup", "restore", "replay", "drill"] + ["prune"] * (len(whole) > 1)
        operation = "prune" if len(whole) >= MOST_SETS else world.random.choice(choices)
        answer = {}

        def call(operation=operation, answer=answer):
            try:
                answer["it"] = getattr(world, operation)()
            except (ApiError, *LOST) as error:
                answer["error"] = error

        caller = threading.Thread(target=call)
        caller.start()
        victim = world.random.choice(victims)
        longest = {"backup": 1.5, "restore": 6, "replay": 8, "drill": 6, "prune": 0.1}[operation]
        if victim == "tool":
            # It runs for a moment only, and not in all that is done.
            waited = time.monotonic() + longest
            while not world.tools() and time.monotonic() < waited:
                time.sleep(0.01)
            time.sleep(world.random.uniform(0, 0.3))
        else:
            time.sleep(world.random.uniform(0, longest))
        victim = world.kill(victim)
        caller.join(60)
        world.back()
        world.check(operation, there, before)
        assert not isinstance(answer.get("error"), ApiError), answer
        world.count(f"{operation}, {victim} killed")
    for id in world.whole():
        world.restore_set(id)
        world.check("restore", None, world.sets())
    print(dict(sorted(world.counts.items())))
    world.api.delete(world.id)
    poll(lambda: not list((world.service.data_dir / "backups").glob("*")), 60, "sets are left")
    assert world.service.stop() == 0
    assert world.service.leftovers() == []
