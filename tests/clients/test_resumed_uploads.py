"""Uploads to a bucket of a real S3 server (moto) that are cut off: they go on with the part that is not there yet, begin anew when the bucket
has lost them, and leave nothing when nobody wants them any more."""

import contextlib
import hashlib
import json

import pytest

from harness.api import poll
from test_object_storage import BUCKET, PREFIX, Shop
from test_object_storage import s3, storing  # noqa: F401

# Rows of a mebibyte: four parts of 16.
MEBIBYTES = 50


@pytest.fixture(scope="module")
def shop(storing):  # noqa: F811
    return Shop(storing, MEBIBYTES)


class Upload:
    """A backup whose upload is held with its third part."""

    def __init__(self, s3, shop):  # noqa: F811
        self.s3, self.shop = s3, shop
        self.backup = None

    @contextlib.contextmanager
    def held(self):
        self.s3.hold.write_text("partNumber=3")
        self.backup = self.shop.begin()
        self.place = f"backups/{self.shop.id}/{self.backup}/dump.sql.zst.enc"
        try:
            poll(lambda: "held PUT partNumber=3" in self.asked(), 120, lambda: f"{self.asked()} {self.shop.service.log()[-2000:]}")
            yield
        finally:
            self.s3.hold.unlink()

    def asked(self):
        return self.s3.requests(self.place)

    def done(self):
        """What was asked for since the upload was held."""
        asked = self.asked()
        return asked[asked.index("held PUT partNumber=3") + 1 :]

    def check(self):
        """The set is whole, and what the bucket has is what was taken."""
        row = self.shop.ended(self.backup)
        assert row["status"] == "Success", (row, self.asked())
        manifest = json.loads((self.shop.local(self.backup) / "manifest.json").read_text())
        body = self.s3.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{self.place}")["Body"].read()
        assert len(body) == manifest["dump"]["bytes"] > 3 << 24
        assert hashlib.sha256(body).hexdigest() == manifest["dump"]["sha256"]
        assert self.s3.uploads() == []
        notes = self.shop.record(self.backup)
        assert [path.name for path in notes.parent.iterdir()] == [notes.name]
        self.shop.service.admin("backup", "delete", self.backup)


PARTS = [f"done PUT partNumber={number}" for number in (1, 2, 3, 4)]


def test_parts_that_are_there_are_not_sent_again(s3, shop):  # noqa: F811
    upload, service = Upload(s3, shop), shop.service
    with upload.held():
        service.kill()
    service.start()
    upload.check()
    assert [line for line in upload.asked() if line.startswith("done P")] == ["done POST uploads", *PARTS, "done POST"], upload.asked()


def test_an_upload_that_the_bucket_has_lost_begins_anew(s3, shop):  # noqa: F811
    upload, service = Upload(s3, shop), shop.service
    with upload.held():
        service.kill()
        (lost,) = s3.uploads()
        s3.client.abort_multipart_upload(Bucket=BUCKET, Key=lost["Key"], UploadId=lost["UploadId"])
    service.start()
    upload.check()
    assert [line for line in upload.done() if "PUT" in line] == ["lost PUT partNumber=3", *PARTS], upload.done()


def test_an_upload_whose_end_was_not_noted_is_not_sent_again(s3, shop):  # noqa: F811
    """The service is killed after the bucket has made the object and before it has told so."""
    upload, service = Upload(s3, shop), shop.service
    with upload.held():
        service.kill()
        # What the service was about to do: the last two parts, and the end.
        ((key, number),) = [(lost["Key"], lost["UploadId"]) for lost in s3.uploads()]
        notes = shop.record(upload.backup).with_suffix(".parts")
        data = (shop.local(upload.backup) / "dump.sql.zst.enc").read_bytes()
        done = [json.loads(line)["e_tag"] for line in notes.read_text().splitlines()[1:]]
        with notes.open("a") as file:
            for part in (3, 4):
                piece = data[(part - 1) << 24 : part << 24]
                answer = s3.client.upload_part(Bucket=BUCKET, Key=key, UploadId=number, PartNumber=part, Body=piece)
                done.append(answer["ETag"])
                file.write(json.dumps({"e_tag": answer["ETag"], "sha256": hashlib.sha256(piece).hexdigest()}) + "\n")
        parts = [{"ETag": tag, "PartNumber": at + 1} for at, tag in enumerate(done)]
        s3.client.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=number, MultipartUpload={"Parts": parts})
    service.start()
    upload.check()
    assert [line for line in upload.done() if "PUT" in line] == [], upload.done()


@pytest.mark.parametrize("restarted", [False, True])
def test_an_upload_that_nobody_wants_leaves_nothing(s3, shop, restarted):  # noqa: F811
    upload, service = Upload(s3, shop), shop.service
    before = s3.names()
    with upload.held():
        (task,) = service.admin("task", "list", "--status", "running")
        if restarted:
            service.kill()
            service.start()
            poll(lambda: upload.asked().count("held PUT partNumber=3") == 2, 60, lambda: service.log()[-2000:])
        service.admin("task", "cancel", str(task["task_id"]))
        row = shop.ended(upload.backup)
    assert row["status"] == "Failed", row
    assert s3.uploads() == [] and s3.names() == before
    assert not shop.record(upload.backup).parent.exists() and not shop.local(upload.backup).exists()
    assert [line for line in upload.done() if "PUT" in line and "done" in line] == [], upload.done()
