"""Results in a bucket: stored before they are seen, shared, removed when nothing has them."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("obstore")

from fakes.memory_bucket import MemoryBucket
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.request import job_spec_to_json
from layert2v_server.errors import BucketFailed, ChecksumMismatch, FilesMissing, WorkerLost
from layert2v_server.store.artifacts import Result, StagedSource
from layert2v_server.store.bucket.index import ObjectIndex, ObjectsReleased
from layert2v_server.store.bucket.transfer import Transfers
from layert2v_server.store.bucket_artifacts import BucketArtifacts
from layert2v_server.store.bucket_uploads import BucketUploads
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.database import open_database, write_transaction
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.rebuild import rebuild
from layert2v_server.store.retention import (
    DAY_S,
    DataStores,
    Retention,
    find_expired,
    note_use,
    remove_expired,
)
from layert2v_server.store.rows import new_row
from layert2v_server.store.uploads import Upload

JOB, OTHER = "a" * 32, "b" * 32
SPEC = GenerateSpec(prompt="a fox", seed=7)
NEVER = threading.Event()
RETENTION = Retention(uploads_days=7, trash_days=7)


class Server:
    """A data folder, a database and a bucket."""

    def __init__(self, data: Path, bucket: MemoryBucket) -> None:
        self.data, self.bucket = data, bucket
        self.engine = open_database(data / "jobs.sqlite3")
        self.jobs, self.index = JobStore(self.engine), ObjectIndex(self.engine)
        transfers = Transfers(bucket)
        self.artifacts = BucketArtifacts(
            data / "jobs", min_free_bytes=0, transfers=transfers, index=self.index
        )
        self.uploads = BucketUploads(
            data / "uploads", max_bytes=1000, transfers=transfers, index=self.index
        )
        self.content = ContentIndex(self.jobs, self.artifacts, self.uploads, index=self.index)
        self.stores = DataStores(
            data=data, jobs=self.jobs, artifacts=self.artifacts, uploads=self.uploads
        )

    def close(self) -> None:
        self.artifacts.close()
        self.engine.dispose()

    def finish(self, job_id: str, files: dict[str, bytes], attempt: int = 1) -> Result:
        """Write the files of an attempt as a worker does, and return its result."""
        self.artifacts.prepare_attempt(job_id, attempt)
        folder = self.artifacts.attempt_folder(job_id, attempt)
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        records = [
            FileRecord(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for path, data in files.items()
        ]
        return Result(
            job_id=job_id, attempt=attempt, owner="anna", files=records, untrusted=(), note="{}"
        )

    def publish(self, result: Result) -> None:
        """Store a result and end its job with it."""
        self.artifacts.store_result(result, NEVER)
        row = new_row(result.job_id, SPEC, "", time.time())
        self.jobs.register(result.owner, row, result.files, ())
        with write_transaction(self.engine) as connection:
            self.artifacts.publish(result.job_id, result.attempt, connection)
        self.artifacts.end_publication(result.job_id, result.attempt)

    def delete(self, job_id: str) -> None:
        self.artifacts.begin_deletion(job_id)
        self.jobs.delete(job_id)
        self.artifacts.end_deletion(job_id)

    def read(self, job_id: str, path: str, size: int) -> bytes:
        data = bytearray(size)
        self.artifacts.open_result(job_id, path).read_into(memoryview(data), 0)
        return bytes(data)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    found = Server(tmp_path, MemoryBucket())
    yield found
    found.close()


def test_a_result_is_seen_when_its_job_ends(server: Server) -> None:
    result = server.finish(
        JOB, {"bg/1.exr": b"one", "stack.json": b"{}", "history/v001.json": b"{}"}
    )
    server.artifacts.store_result(result, NEVER)
    assert server.index.list(JOB) == []
    server.publish(result)
    assert server.read(JOB, "bg/1.exr", 3) == b"one"
    assert sorted(server.artifacts.manifest_files(JOB)) == ["history/v001.json", "stack.json"]
    assert not (server.data / "jobs" / JOB).exists()
    assert [key for key in server.bucket.all_keys() if key.startswith("files/")] == [
        f"files/{JOB}/1/bg/1.exr",
        f"files/{JOB}/1/stack.json",  # the same content as the other one
    ]


def test_storing_goes_on_where_it_stopped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    result = server.finish(JOB, {f"{k}.exr": bytes([k]) * 9 for k in range(20)})
    real, refused = server.bucket.put, set[str]()

    def put_half(key: str, data: bytes) -> None:
        if len(server.bucket.writes) >= 10:
            refused.add(key)
            raise BucketFailed("it denies access")
        real(key, data)

    monkeypatch.setattr(server.bucket, "put", put_half)
    with pytest.raises(BucketFailed):
        server.artifacts.store_result(result, NEVER)
    monkeypatch.setattr(server.bucket, "put", real)
    written = set(server.bucket.writes)
    server.bucket.writes.clear()
    server.publish(result)
    assert written & set(server.bucket.writes) == set()
    assert len(server.index.list(JOB)) == 20


def test_what_is_shared_and_deleted_meanwhile_is_written_again(server: Server) -> None:
    server.publish(server.finish(OTHER, {"bg.exr": b"same"}))
    result = server.finish(JOB, {"bg.exr": b"same"})
    server.artifacts.store_result(result, NEVER)
    server.delete(OTHER)
    with pytest.raises(ObjectsReleased), write_transaction(server.engine) as connection:
        server.artifacts.publish(JOB, 1, connection)
    server.publish(result)
    assert server.read(JOB, "bg.exr", 4) == b"same"


def test_a_cancelled_result_leaves_nothing(server: Server) -> None:
    server.artifacts.store_result(server.finish(JOB, {"bg.exr": b"one"}), NEVER)
    server.artifacts.clear_attempt(JOB, 1)
    assert server.bucket.all_keys() == []


def test_a_finished_attempt_is_taken_over(server: Server) -> None:
    result = server.finish(JOB, {"bg.exr": b"one"})
    server.artifacts.keep_outcome(JOB, 1, "outcome")
    server.artifacts.suspend_attempt(JOB, 1)
    server.artifacts.prepare_attempt(JOB, 2)
    assert server.artifacts.take_outcome(JOB, 2) == "outcome"
    assert (server.artifacts.attempt_folder(JOB, 2) / "bg.exr").read_bytes() == b"one"
    server.artifacts.discard_leftovers({JOB}, set())
    assert list((server.data / "jobs").rglob("*.exr")) == []
    with pytest.raises(WorkerLost):
        server.artifacts.store_result(result, NEVER)


def test_a_whole_stack_is_brought_for_the_viewer_and_dropped(server: Server) -> None:
    server.publish(server.finish(JOB, {"bg/1.exr": b"one", "stack.json": b"{}"}))
    folder = server.artifacts.bring_stack(JOB)
    assert (folder / "bg" / "1.exr").read_bytes() == b"one"
    assert (folder / "stack.json").read_bytes() == b"{}"
    server.artifacts.drop_stack(JOB)
    assert not folder.exists()
    viewer = server.artifacts.viewer_folder(JOB)
    viewer.mkdir()
    server.artifacts.discard_leftovers({JOB}, set())
    assert viewer.is_dir()
    server.artifacts.discard_leftovers({OTHER}, set())
    assert not viewer.exists()


def test_a_source_stays_until_its_job_ends(server: Server) -> None:
    server.publish(server.finish(OTHER, {"bg.exr": b"one"}))
    sha256 = hashlib.sha256(b"one").hexdigest()
    files = {"stack/bg.exr": server.content.find("anna", [sha256])[sha256]}
    staged = StagedSource(owner="anna", files=files, texts={"stack/a#b.json": "{}"}, untrusted={})
    server.artifacts.stage_source(JOB, staged)
    server.delete(OTHER)
    server.artifacts.fetch_source(JOB, NEVER)
    server.artifacts.copy_source(JOB, 1)
    assert (server.artifacts.attempt_folder(JOB, 1) / "bg.exr").read_bytes() == b"one"
    assert (server.artifacts.source_folder(JOB) / "brought.json").read_text() == "{}"
    server.artifacts.release_sources([JOB, OTHER])
    assert server.bucket.all_keys() == []
    with pytest.raises(FilesMissing, match=r"stack/bg\.exr"):
        server.artifacts.stage_source(JOB, staged)


def test_while_the_bucket_is_away_a_job_is_not_deleted(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish(server.finish(JOB, {"bg.exr": b"one"}))
    keys = server.bucket.all_keys()

    def refuse(prefix: str) -> None:
        raise BucketFailed("it cannot be reached")

    monkeypatch.setattr(server.bucket, "list", refuse)
    with pytest.raises(BucketFailed):
        server.artifacts.begin_deletion(JOB)
    monkeypatch.undo()
    assert server.artifacts.begin_deletion(JOB)
    server.artifacts.undo_deletion(JOB)
    assert server.bucket.all_keys() == keys


def test_what_belongs_to_nothing_is_listed_and_removed_after_its_grace(server: Server) -> None:
    server.publish(server.finish(JOB, {"bg.exr": b"one"}))
    kept = server.bucket.all_keys()
    server.artifacts.store_result(server.finish(OTHER, {"bg.exr": b"two"}), NEVER)
    for key in (f"previews/{OTHER}.png", "uploads/x/y", "database_id", "elsewhere/file"):
        server.bucket.put(key, b"1")
    now = time.time()
    note_use(server.data, now + 6.9 * DAY_S)
    assert list(find_expired(server.stores, RETENTION, now + 6.9 * DAY_S)) == []
    note_use(server.data, now + 7.1 * DAY_S)
    found = {each.name for each in find_expired(server.stores, RETENTION, now + 7.1 * DAY_S)}
    assert found == {
        *(f"files/{OTHER}/1/bg.exr", f"notes/{OTHER}/1.json"),
        *(f"previews/{OTHER}.png", "uploads/x/y"),
    }
    remove_expired(server.stores, RETENTION, now + 7.1 * DAY_S)
    assert server.bucket.all_keys() == sorted([*kept, "database_id", "elsewhere/file"])


def test_a_lost_database_is_rebuilt(server: Server, tmp_path: Path) -> None:
    plain = {"owner": "anna", "kind": "GENERATE", "spec": job_spec_to_json(SPEC)}
    note = json.dumps({**plain, "source": "", "created": 5.0, "untrusted": []})
    for job_id, path in ((JOB, "a.exr"), (OTHER, "b.exr")):
        result = server.finish(job_id, {path: path.encode()})
        server.publish(replace(result, note=note))
    server.bucket.delete([f"files/{OTHER}/1/b.exr"])
    (tmp_path / "new").mkdir()
    new = Server(tmp_path / "new", server.bucket)
    assert rebuild(new.jobs, new.artifacts) == 1
    assert (new.jobs.get(JOB).owner, new.read(JOB, "a.exr", 5)) == ("anna", b"a.exr")
    new.close()


def test_uploads_of_the_same_content_share_an_object(server: Server) -> None:
    data = b"a plate"
    uploads = [
        Upload(
            id=f"00000000-0000-4000-8000-00000000000{k}",
            owner="anna",
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            media_type="image/x-exr",
        )
        for k in (1, 2)
    ]
    for upload in uploads:
        assert server.uploads.begin(upload) == 0
        server.uploads.append(upload, 0, data)
        server.uploads.finish(upload)
        server.uploads.finish(upload)
        assert server.uploads.begin(upload) == len(data)
        assert server.uploads.get(upload.id, "anna") == upload
    assert len(server.bucket.all_keys()) == 1
    assert server.uploads.announced_bytes("anna") == 2 * len(data)
    assert not server.uploads.is_complete(uploads[0].id, "bert")
    server.uploads.delete("anna", [uploads[0].id])
    assert len(server.bucket.all_keys()) == 1
    (old,) = server.uploads.older_stored(time.time() + 1)
    server.uploads.release_stored([old.holder])
    assert server.bucket.all_keys() == []


def test_an_upload_that_comes_again_while_it_is_deleted_stays(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"a plate"
    upload = Upload(
        id="0" * 32,
        owner="anna",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )

    def send() -> None:
        server.uploads.begin(upload)
        server.uploads.append(upload, 0, data)
        server.uploads.finish(upload)

    put = server.bucket.put

    def put_deleted(key: str, data: bytes) -> None:
        server.uploads.path(upload.id, "anna").unlink()
        monkeypatch.setattr(server.bucket, "put", put)
        raise FileNotFoundError(key)  # as of a segment that comes later

    monkeypatch.setattr(server.bucket, "put", put_deleted)
    with pytest.raises(ChecksumMismatch, match="gone"):
        send()
    send()
    delete = server.bucket.delete

    def delete_late(keys: Iterable[str]) -> None:
        monkeypatch.setattr(server.bucket, "delete", delete)
        send()
        delete(keys)

    monkeypatch.setattr(server.bucket, "delete", delete_late)
    assert server.uploads.delete("anna", None) == 1
    read = bytearray(len(data))
    server.uploads.open(upload.id, "anna").read_into(memoryview(read), 0)
    assert read == data
