"""Backup sets in a bucket of a real S3 server (moto): put there, fetched for a restore, gone with their
time, and nothing lost or left when the server or the service is killed meanwhile."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time

import boto3
import pymysql
import pytest
from botocore.config import Config

from harness.api import endpoint_of, poll
from harness.service import Service, end
from test_download import get, item

BUCKET, PREFIX, PASSWORD = "backups", "openpeta/one", "Passw0rd!"
SECRET, KEY = "S3cretOfTheServer", "0a" * 32
# More than one part of an upload.
ROWS, ROW_BYTES = 17, 1 << 20


class S3:
    """A server that keeps everything in memory, over TLS."""

    def __init__(self, certificate):
        self.certificate = certificate
        # What the file has in it, all but the test's own client is answered with: status, code of the error.
        self.fault = pathlib.Path(certificate[0]).with_name("fault")
        # What the file has in it: requests with that in their query wait until the file is gone, and fail then.
        self.hold = self.fault.with_name("hold")
        # A line for each request that was carried out, and for each that is held.
        self.asked = self.fault.with_name("asked")
        code = (
            "import sys, pathlib, time; from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app\n"
            "from moto.s3.models import s3_backends\n"
            "from werkzeug.serving import make_server\n"
            "app = DomainDispatcherApplication(create_backend_app)\n"
            "fault, hold, asked = map(pathlib.Path, sys.argv[3:6])\n"
            "def note(what, environ):\n"
            "    with asked.open('a') as file:\n"
            "        file.write(f\"{what} {environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ['QUERY_STRING']}\\n\")\n"
            # What S3 refuses moto fails at.
            "def is_known(query):\n"
            "    buckets = s3_backends['123456789012']['aws'].buckets.values()\n"
            "    return query.partition('uploadId=')[2] in {upload for bucket in buckets for upload in bucket.multiparts}\n"
            "def faulty(environ, start):\n"
            "    if environ.get('HTTP_USER_AGENT', '').startswith('openpeta/') and fault.exists():\n"
            "        methods, status, code = fault.read_text().split('|')\n"
            "        if environ['REQUEST_METHOD'] in methods:\n"
            "            environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))\n"
            "            start(status, [('Content-Type', 'application/xml')])\n"
            "            return [f'<Error><Code>{code}</Code><Message>no</Message></Error>'.encode()]\n"
            "    if environ.get('HTTP_USER_AGENT', '').startswith('openpeta/'):\n"
            "        if hold.exists() and hold.read_text() in environ['QUERY_STRING']:\n"
            "            environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))\n"
            "            note('held', environ)\n"
            "            while hold.exists():\n"
            "                time.sleep(0.01)\n"
            "            start('503 Slow Down', [('Content-Type', 'application/xml')])\n"
            "            return [b'<Error><Code>SlowDown</Code></Error>']\n"
            "        if environ['REQUEST_METHOD'] == 'PUT' and 'uploadId=' in environ['QUERY_STRING'] and not is_known(environ['QUERY_STRING']):\n"
            "            environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))\n"
            "            note('lost', environ)\n"
            "            start('404 Not Found', [('Content-Type', 'application/xml')])\n"
            "            return [b'<Error><Code>NoSuchUpload</Code></Error>']\n"
            "        answer = app(environ, start)\n"
            "        note('done', environ)\n"
            "        return answer\n"
            "    return app(environ, start)\n"
            "server = make_server('127.0.0.1', 0, faulty, threaded=True, ssl_context=tuple(sys.argv[1:3]))\n"
            "print(server.server_port, flush=True); server.serve_forever()\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *certificate, *map(str, (self.fault, self.hold, self.asked))],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.port = int(self.process.stdout.readline())
        self.endpoint = f"https://127.0.0.1:{self.port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key=SECRET,
            verify=certificate[0],
            config=Config(retries={"max_attempts": 1}, proxies={}),
        )
        self.client.create_bucket(Bucket=BUCKET)

    def names(self, of="backups/"):
        """The objects of sets, or of something else, without the prefix."""
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/{of}").get("Contents", [])
        return sorted(item["Key"].removeprefix(PREFIX + "/") for item in found)

    def uploads(self):
        """Uploads in parts that nobody has ended."""
        return self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])

    @contextlib.contextmanager
    def answering(self, methods, status, code):
        """Answers requests of the service with an error."""
        self.fault.write_text(f"{methods}|{status}|{code}")
        try:
            yield
        finally:
            self.fault.unlink()

    def requests(self, of):
        """What the service asked of an object, e.g. `done PUT partNumber=1`."""
        lines = self.asked.read_text().splitlines() if self.asked.exists() else []
        words = [re.sub("[&?]uploadId=.*|=$", "", line).split(" ") for line in lines if of in line]
        return [f"{what} {method} {path.partition('?')[2]}".strip() for what, method, path in words]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def certificate(directory):
    """A certificate for this machine, and its key."""
    paths = [str(directory / "cert.pem"), str(directory / "key.pem")]
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=s3", "-days", "2"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    command = ["openssl", "req", "-x509", *options, *names, "-out", paths[0], "-keyout", paths[1]]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    server = S3(certificate(tmp_path_factory.mktemp("s3")))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def storing(s3):
    service = Service()
    credentials = service.home / "s3-credentials"
    credentials.touch(0o600)
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = " + SECRET + "\n")
    keys = service.home / "keys"
    keys.touch(0o600)
    keys.write_text(KEY)
    service.config["backup"] = {
        "recycle_days": 0,
        "store": f"s3://{BUCKET}/{PREFIX}",
        "log_upload_seconds": 1,
        # Others that use the machine are no reason to wait.
        "gives_way": False,
        "encryption_key_file": str(keys),
        "s3": {
            "endpoint": s3.endpoint,
            "credentials_file": str(credentials),
            "ca_file": s3.certificate[0],
            # Long enough to be noticed, short enough to be waited for.
            "retry_seconds": 5,
        },
    }
    with service:
        yield service


class Shop:
    """An instance whose database is larger than a part of an upload."""

    def __init__(self, service, rows=ROWS):
        self.service = service
        self.id = service.api().order()["InstanceId"]
        self.execute(self.id, "CREATE TABLE blobs (id INT PRIMARY KEY, b LONGBLOB)")
        connection = self.connect(self.id)
        with connection.cursor() as cursor:
            for row in range(rows):
                cursor.execute("INSERT INTO blobs VALUES (%s, %s)", (row, os.urandom(ROW_BYTES)))
        connection.commit()
        connection.close()

    def connect(self, instance):
        host, port = endpoint_of(self.service.api().wait_active(instance))
        return pymysql.connect(host=host, port=port, user="alice", password=PASSWORD, database="shop")

    def execute(self, instance, *statements):
        connection = self.connect(instance)
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.commit()
        connection.close()

    def sums(self, instance):
        connection = self.connect(instance)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*), SUM(CRC32(b)) FROM blobs")
            found = cursor.fetchone()
        connection.close()
        return found

    def sets(self):
        return self.service.admin("backup", "list")

    def begin(self, **how):
        answer = self.service.api().call("CreateDatabaseBackup", InstanceId=self.id, DBName="shop", **how)
        return str(answer["BackupId"])

    def ended(self, backup):
        def row():
            found = next(row for row in self.sets() if row["backup_id"] == backup)
            return found if found["status"] != "Progress" else None

        return poll(row, 90, lambda: f"the backup goes on: {self.service.log()[-2000:]}")

    def local(self, backup):
        return self.service.data_dir / "backups" / self.id / backup

    def record(self, backup):
        return self.service.data_dir / "backups.remote" / self.id / f"{backup}.json"

    def uploading(self, backup):
        """Waits until some part of the upload is there."""

        def begun():
            try:
                return json.loads(self.record(backup).read_text())["upload"]
            except FileNotFoundError:
                return None

        poll(begun, 60, lambda: f"no upload: {self.service.log()[-2000:]}", interval=0.001)


@pytest.fixture(scope="module")
def shop(storing):
    return Shop(storing)


def test_sets_live_in_the_bucket(s3, shop):
    service = shop.service
    before = shop.sums(shop.id)
    backup = shop.begin()
    row = shop.ended(backup)
    assert row["status"] == "Success", row
    assert row["stored_in"] == f"s3://{BUCKET}/{PREFIX}"
    place = f"backups/{shop.id}/{backup}"
    files = [f"{place}/dump.sql.zst.enc", f"{place}/manifest.json"]
    assert s3.names() == files
    # What is large is here no more.
    assert [path.name for path in shop.local(backup).iterdir()] == ["manifest.json"]

    # It is downloaded out of the bucket, as it lies there, from anywhere on.
    link = item(service, shop.id, backup)["BackupDownloadURL"]
    answer, connection = get(service, link)
    archive = answer.read()
    connection.close()
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        manifest = json.load(members.extractfile(f"{backup}/manifest.json"))
        data = members.extractfile(f"{backup}/dump.sql.zst.enc").read()
    assert hashlib.sha256(data).hexdigest() == manifest["dump"]["sha256"]
    middle = len(archive) // 2
    answer, connection = get(service, link, Range=f"bytes={middle}-")
    assert answer.status == 206 and answer.read() == archive[middle:]
    connection.close()
    assert [path.name for path in shop.local(backup).iterdir()] == ["manifest.json"]

    # It is fetched for a restore.
    api = service.api()
    answer = api.call("RestoreDatabase", SrcInstanceId=shop.id, SrcDBName="shop", BackupId=backup)
    copy = answer["NewInstanceId"]
    api.wait_active(copy)
    api.call(
        "CreateAccount", InstanceId=copy, AccountName="alice", AccountPassword=PASSWORD, DBName="shop",
        AccountPrivilege="ReadWrite",
    )  # fmt: skip
    assert shop.sums(copy) == before
    api.delete(copy)

    # With a set its objects go.
    service.admin("backup", "delete", backup)
    assert s3.names() == []
    assert not shop.record(backup).exists()
    assert SECRET not in service.log() and KEY not in service.log()


def test_a_lost_machine_comes_back_out_of_the_bucket(s3, shop):
    """docs/disaster-recovery.md, for sets in a bucket: with what is noted of them copied elsewhere, or without."""
    service = shop.service
    before = shop.sums(shop.id)
    backup = shop.begin()
    assert shop.ended(backup)["status"] == "Success"
    elsewhere = service.home / "elsewhere"
    archive = service.home / "control-plane.tar"
    service.admin("control-plane", "backup", str(archive))
    for name in ("backups", "backups.remote"):
        shutil.copytree(service.data_dir / name, elsewhere / name)
    for has_notes in (False, True):
        service.kill()
        for pid in service.node_pids():
            end(pid)
        shutil.rmtree(service.data_dir)
        service.admin("control-plane", "restore", str(archive))
        if has_notes:
            for name in ("backups", "backups.remote"):
                shutil.copytree(elsewhere / name, service.data_dir / name)
        else:
            for name in s3.names():
                copy = service.data_dir / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                s3.client.download_file(BUCKET, f"{PREFIX}/{name}", str(copy))
        service.start()
        service.admin("instance", "recover", "--instance-id", shop.id)
        assert shop.sums(shop.id) == before
        service.admin("recovery", "finish")
    service.admin("backup", "delete", backup)


def test_an_empty_machine_needs_no_more_than_bucket_key_and_configuration(s3, shop):
    """docs/disaster-recovery.md, with a bucket: all that was committed comes back, to the last transaction."""
    service, api = shop.service, shop.service.api()
    api.call("ModifyBackupPolicy", InstanceId=shop.id, DBName="shop", EnableBinlogBackup="true")
    backup = shop.begin()
    assert shop.ended(backup)["status"] == "Success"
    # A file of the log is finished, another one is written on.
    shop.execute(shop.id, "CREATE TABLE late (id INT PRIMARY KEY, v TEXT)", "INSERT INTO late VALUES (1, 'one')")
    restart_node(service, shop)
    for number in range(2, 6):
        shop.execute(shop.id, f"INSERT INTO late VALUES ({number}, REPEAT('x', 1000))")
        stored(service, shop.id)
    shop.execute(shop.id, "UPDATE blobs SET b = REVERSE(b) WHERE id % 2")
    stored(service, shop.id)
    logs = s3.names("binlogs/")
    assert any(name.endswith(".zst.enc") and "-" not in name.rsplit("/", 1)[1] for name in logs), logs
    assert sum("-" in name.rsplit("/", 1)[1] for name in logs) >= 2, logs
    earlier = s3.names("control-plane/")
    service.admin("control-plane", "backup")
    assert len(s3.names("control-plane/")) == len(earlier) + 1
    for name in s3.names(""):
        body = s3.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")["Body"].read()
        assert name.endswith(("manifest.json", "/marks")) or body.startswith(b"OPENPETA SEALED1"), name
    before = shop.sums(shop.id)

    service.kill()
    for pid in service.node_pids():
        end(pid)
    shutil.rmtree(service.data_dir)
    config = str(service.config_path)
    service.admin("control-plane", "restore", "--from-bucket", "--config", config)
    service.start()
    poll(lambda: service.admin("recovery", "status")["bucket"] == "fetched", 60, lambda: service.log()[-2000:])
    (row,) = [row for row in service.admin("recovery", "status")["databases"] if row["instance_id"] == shop.id]
    assert row["newest_set"] == backup and row["log_goes_on"], row
    service.admin("instance", "recover", "--instance-id", shop.id, "--to-end-of-log")
    assert shop.sums(shop.id) == before
    connection = shop.connect(shop.id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, LENGTH(v) FROM late ORDER BY id")
        assert cursor.fetchall() == ((1, 3), (2, 1000), (3, 1000), (4, 1000), (5, 1000))
        cursor.execute("DROP TABLE late")
    connection.close()
    service.admin("recovery", "finish")
    service.admin("backup", "delete", backup)


def restart_node(service, shop):
    """The log goes on in a new file."""
    for pid in service.node_pids():
        os.kill(pid, signal.SIGKILL)

    def connects():
        try:
            shop.execute(shop.id, "SELECT 1")
            return True
        except pymysql.err.MySQLError:
            return False

    poll(connects, 60, "the node is not started again")


def stored(service, instance):
    """Waits until the bucket has the log of now."""
    now = time.time()

    def has_all():
        (log,) = [row for row in service.admin("backup", "logs") if row["instance_id"] == instance]
        until = log["stored_until"]
        return until and time.mktime(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone > now

    poll(has_all, 30, lambda: f"the log is not in the bucket: {service.admin('backup', 'logs')}")


def test_a_recovery_to_the_end_of_the_log_fetches_it(s3, shop):
    """The disk with the nodes and the archive is lost, the control plane is not: nothing else was told to fetch anything. Also when an
    old copy of the archive was put back, which ends before what the bucket has."""
    service, api = shop.service, shop.service.api()
    api.call("ModifyBackupPolicy", InstanceId=shop.id, DBName="shop", EnableBinlogBackup="true")
    shop.execute(shop.id, "CREATE TABLE last (id INT PRIMARY KEY)")
    for old_copy in (False, True):
        backup = shop.begin()
        assert shop.ended(backup)["status"] == "Success"
        (node,) = [row["node_id"] for row in service.admin("instance", "list") if row["instance_id"] == shop.id]
        archive, aside = service.data_dir / "binlogs" / node, service.home / f"old-{node}"
        stored(service, shop.id)
        shutil.copytree(archive, aside)
        first = 10 if old_copy else 1
        shop.execute(shop.id, *(f"INSERT INTO last VALUES ({number})" for number in range(first, first + 3)))
        expected = column(shop, "SELECT id FROM last ORDER BY id")
        stored(service, shop.id)
        service.kill()
        for pid in service.node_pids():
            end(pid)
        shutil.rmtree((service.data_dir / "nodes").resolve() / node)
        shutil.rmtree(archive)
        if old_copy:
            shutil.copytree(aside, archive)
        service.start()
        poll(lambda: [row["status"] for row in service.admin("instance", "list") if row["instance_id"] == shop.id] == ["INACTIVE"], 30, "not lost")
        service.admin("instance", "recover", "--instance-id", shop.id, "--to-end-of-log")
        assert column(shop, "SELECT id FROM last ORDER BY id") == expected
        service.admin("backup", "delete", backup)
    shop.execute(shop.id, "DROP TABLE last")


def column(shop, query):
    connection = shop.connect(shop.id)
    with connection, connection.cursor() as cursor:
        cursor.execute(query)
        return [value for (value,) in cursor.fetchall()]


def test_data_files_and_what_goes_on_from_them_live_in_the_bucket(s3, shop):
    service, api = shop.service, shop.service.api()
    full = shop.begin(BackupMethod="Physical")
    assert shop.ended(full)["status"] == "Success"
    shop.execute(shop.id, "UPDATE blobs SET b = REVERSE(b) WHERE id = 3")
    more = shop.begin(BackupType="IncrementalBackup")
    row = shop.ended(more)
    assert (row["status"], row["base_id"]) == ("Success", full), row
    names = s3.names()
    for backup in (full, more):
        assert f"backups/{shop.id}/{backup}/data.mbstream.zst.enc" in names, names
        assert [path.name for path in shop.local(backup).iterdir()] == ["manifest.json"]
    before = shop.sums(shop.id)
    answer = api.call("RestoreDatabase", SrcInstanceId=shop.id, SrcDBName="shop", BackupId=more, WithAccounts="true")
    copy = answer["NewInstanceId"]
    api.wait_active(copy)
    assert shop.sums(copy) == before
    api.delete(copy)
    service.admin("backup", "delete", full, "--with-dependents")
    assert not [name for name in s3.names() if f"/{full}/" in name or f"/{more}/" in name]


def test_a_log_that_is_lost_here_is_fetched_and_what_no_restore_needs_goes(s3, shop):
    service, api = shop.service, shop.service.api()
    api.call("ModifyBackupPolicy", InstanceId=shop.id, DBName="shop", EnableBinlogBackup="true")
    older = shop.begin()
    assert shop.ended(older)["status"] == "Success"
    shop.execute(shop.id, "CREATE TABLE steps (id INT PRIMARY KEY)", "INSERT INTO steps VALUES (1)")
    restart_node(service, shop)
    shop.execute(shop.id, "INSERT INTO steps VALUES (2)")
    stored(service, shop.id)
    (node,) = [row["node_id"] for row in service.admin("instance", "list") if row["instance_id"] == shop.id]
    finished = [name.rsplit("/", 1)[1] for name in s3.names(f"binlogs/{node}/")]
    finished = sorted(name for name in finished if name.startswith("bin.") and "-" not in name)
    assert finished, s3.names("binlogs/")
    # The disk has lost them: the node's own, and their copies.
    for name in finished:
        (service.data_dir / "nodes" / node / "binlog" / name.removesuffix(".zst.enc")).unlink(missing_ok=True)
        (service.data_dir / "binlogs" / node / name).unlink()
    now = int(time.time())
    poll(lambda: int(time.time()) > now, 5, "time stands still")
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    answer = api.call(
        "RestoreDatabase", SrcInstanceId=shop.id, SrcDBName="shop", RestoreType="1", RestoreTime=until, WithAccounts="true"
    )
    copy = answer["NewInstanceId"]
    api.wait_active(copy)
    connection = shop.connect(copy)
    with connection.cursor() as cursor:
        cursor.execute("SELECT GROUP_CONCAT(id) FROM steps")
        assert cursor.fetchone() == ("1,2",)
    connection.close()
    assert "what the archive of a binary log lacked is fetched" in service.log()
    api.delete(copy)

    # With the oldest set goes what was logged before the next one, here and there.
    newer = shop.begin()
    assert shop.ended(newer)["status"] == "Success"
    service.admin("backup", "delete", older)
    # It is looked for once a minute.
    if "OPENPETA_LONG_CHECKS" in os.environ:
        poll(lambda: not set(finished) & {name.rsplit("/", 1)[1] for name in s3.names(f"binlogs/{node}/")}, 90, lambda: str(s3.names("binlogs/")))
        poll(lambda: not [name for name in finished if (service.data_dir / "binlogs" / node / name).exists()], 30, "old logs stay here")
    shop.execute(shop.id, "DROP TABLE steps")
    service.admin("backup", "delete", newer)


FAULTS = [
    ("PUT,POST", "507 Insufficient Storage", "InsufficientStorage", "The backup storage is full."),
    ("PUT,POST", "403 Forbidden", "QuotaExceeded", "The backup storage is full."),
    ("PUT,POST,GET,HEAD,DELETE", "403 Forbidden", "InvalidAccessKeyId", "The backup storage refuses access."),
]


def test_a_storage_that_takes_no_more_is_told_of_and_nothing_is_left(s3, shop):
    """Full, or refusing in the midst of an upload; afterwards all is as it was, and the next backup works."""
    service = shop.service
    before = s3.names()
    for methods, status, code, reason in FAULTS:
        failed = shop.begin()
        shop.uploading(failed)
        with s3.answering(methods, status, code):
            row = shop.ended(failed)
        assert (row["status"], row["failure"]) == ("Failed", reason), row
        assert not shop.local(failed).exists()
        assert code in service.log()
        if "DELETE" in methods:
            # What could not be removed goes with the leftovers: each minute, and at a start.
            assert shop.record(failed).exists()
            service.stop()
            service.start()
        poll(lambda failed=failed: not shop.record(failed).exists(), 30, lambda: service.log()[-2000:])
        assert s3.names() == before and s3.uploads() == []
    whole = shop.begin()
    assert shop.ended(whole)["status"] == "Success"
    service.admin("backup", "delete", whole)


def test_a_storage_that_does_not_answer_is_waited_for_and_is_no_fault_of_a_set(s3, shop):
    service = shop.service
    backup = shop.begin()
    shop.uploading(backup)
    with s3.answering("PUT,POST", "503 Slow Down", "SlowDown"):
        poll(lambda: "does not answer; it is tried again" in service.log(), 30, "nothing is told")
    assert shop.ended(backup)["status"] == "Success"

    with s3.answering("GET,HEAD", "503 Slow Down", "SlowDown"):
        service.admin("backup", "verify", backup)
        poll(lambda: "a backup set could not be proven" in service.log(), 60, lambda: service.log()[-2000:])
    row = next(row for row in shop.sets() if row["backup_id"] == backup)
    assert row["verify_failure"] is None and row["verified_at"] is None, row
    service.admin("backup", "delete", backup)


def test_the_last_backup_waits_for_a_storage_that_is_down(s3, shop):
    """What is deleted while the bucket cannot be reached comes there later, also after a restart, and comes back from either place."""
    service = shop.service
    service.stop()
    service.config["backup"]["recycle_days"] = 1
    service.start()
    doomed = Shop(service)
    before = doomed.sums(doomed.id)
    bin_of = lambda: [row for row in service.admin("recycle", "list") if row["instance_id"] == doomed.id]  # noqa: E731

    def waiting():
        _, _, body = service.api().raw("GET", "/metrics")
        return [line for line in body.decode().splitlines() if line.startswith("openpeta_recycle_bin_waiting ")]

    def restored():
        (row,) = bin_of()
        new_id = service.admin("recycle", "restore", row["backup_id"], "--with-accounts")["instance_id"]
        service.api().wait_active(new_id)
        assert doomed.sums(new_id) == before
        service.admin("instance", "delete", "--instance-id", new_id, "--without-final-backup")
        service.api().wait_gone(new_id)

    with s3.answering("GET,HEAD,PUT,POST", "503 Slow Down", "SlowDown"):
        service.api().delete(doomed.id)
        (row,) = bin_of()
        assert (row["final"], row["stored_in"]) == (True, "local"), row
        assert row["waits_for_bucket"] == "The backup storage cannot be used.", row
        assert waiting() == ["openpeta_recycle_bin_waiting 1"]
        (event,) = service.admin("event", "list", "--kind", "final-backup-waits")
        assert (event["instance_id"], event["db_name"]) == (doomed.id, "shop")
        restored()
        service.kill()
        service.start()
        # It is known without the deletion's task, too.
        poll(lambda: waiting() == ["openpeta_recycle_bin_waiting 1"], 30, waiting)
        assert [row["stored_in"] for row in bin_of()] == ["local"]
    poll(lambda: [row["stored_in"] for row in bin_of()] == [f"s3://{BUCKET}/{PREFIX}"], 120, bin_of)
    (row,) = bin_of()
    place = f"backups/{doomed.id}/{row['backup_id']}"
    assert [name for name in s3.names() if doomed.id in name] == [f"{place}/dump.sql.zst.enc", f"{place}/manifest.json"]
    poll(lambda: service.admin("event", "list", "--kind", "final-backup-stored"), 10, "nothing is told of it")
    assert row["waits_for_bucket"] is None and waiting() == ["openpeta_recycle_bin_waiting 0"]
    # The copy here goes as one that was fetched.
    poll(lambda: [path.name for path in doomed.local(row["backup_id"]).iterdir()] == ["manifest.json"], 120, "the copy stays")
    restored()
    service.admin("recycle", "purge", row["backup_id"])
    assert not [name for name in s3.names() if doomed.id in name] and not doomed.local(row["backup_id"]).exists()
    service.stop()
    service.config["backup"]["recycle_days"] = 0
    service.start()


def test_nothing_is_lost_or_left_when_either_is_killed(s3, shop):
    service = shop.service
    backup = shop.begin()
    shop.uploading(backup)
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()
    service.start()
    row = shop.ended(backup)
    assert row["status"] == "Success", row
    assert len(s3.names()) == 2
    # What was begun the first time takes no space.
    assert s3.uploads() == []

    # A server that dies fails the backup, for a reason that can be read.
    second = shop.begin()
    shop.uploading(second)
    s3.kill()
    row = shop.ended(second)
    assert row["status"] == "Failed", row
    assert row["failure"] == "The backup storage cannot be used."
    assert not shop.local(second).exists()
    # Nobody but the operator learns of buckets.
    for task in service.api().tasks(shop.id):
        assert BUCKET not in json.dumps(task) and "127.0.0.1" not in json.dumps(task)
    # An instance can be deleted all the same; what is to be removed is noted.
    service.api().delete(shop.id)
    assert shop.record(backup).exists() and shop.record(second).exists()
