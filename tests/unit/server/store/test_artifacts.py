"""Result folders and uploads: whole or not at all, and never outside the store."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from layert2v.stack import FileRecord
from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    DiskFull,
    FilesMissing,
    InvalidArgument,
    JobNotFound,
    OffsetOutOfRange,
    SourceNotFound,
    WorkerLost,
)
from layert2v_server.store.artifacts import ArtifactStore, StagedSource, read_chunks
from layert2v_server.store.uploads import Upload, UploadStore

JOB = "a" * 32
DATA = b"0123456789"


def record(path: str, size_bytes: int = len(DATA)) -> FileRecord:
    return FileRecord(path=path, size_bytes=size_bytes, sha256=hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    store = ArtifactStore(tmp_path / "jobs", min_free_bytes=0)
    store.prepare_attempt(JOB)
    attempt = store.attempt_folder(JOB, 1)
    (attempt / "bg").mkdir(parents=True)
    (attempt / "bg" / "bg.1001.exr").write_bytes(DATA)
    return store


def test_a_finished_attempt_becomes_the_stack(store: ArtifactStore) -> None:
    store.publish(JOB, 1, [record("bg/bg.1001.exr")])
    assert (store.stack_folder(JOB) / "bg" / "bg.1001.exr").read_bytes() == DATA
    assert not store.attempt_folder(JOB, 1).parent.exists()


@pytest.mark.parametrize(
    "file",
    [
        record("bg/bg.1002.exr"),
        record("bg/bg.1001.exr", 9),
        record("../secret"),
        record("/etc/passwd"),
        record("bg"),
    ],
)
def test_what_a_worker_reports_is_looked_at(store: ArtifactStore, file: FileRecord) -> None:
    with pytest.raises(WorkerLost):
        store.publish(JOB, 1, [file])
    assert not store.stack_folder(JOB).exists()


def test_a_link_is_no_file(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(DATA)
    link = store.attempt_folder(JOB, 1) / "link.exr"
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(WorkerLost):
        store.publish(JOB, 1, [record("link.exr")])
    with pytest.raises(ArtifactNotFound):
        next(read_chunks(link, 0, 10))


def test_a_new_attempt_finds_nothing_old(store: ArtifactStore) -> None:
    store.publish(JOB, 1, [record("bg/bg.1001.exr")])
    store.attempt_folder(JOB, 2).mkdir(parents=True)
    store.preview_path(JOB).write_bytes(b"png")
    store.prepare_attempt(JOB)
    assert [path.name for path in (store.root / JOB).iterdir()] == ["preview.png"]
    assert store.read_preview(JOB) == b"png"


def test_deleting_leaves_nothing(store: ArtifactStore) -> None:
    store.delete(JOB)
    store.delete(JOB)
    assert list(store.root.iterdir()) == []
    assert store.read_preview(JOB) is None


def test_folders_without_a_job_are_removed(store: ArtifactStore) -> None:
    (store.root / "notes").mkdir()
    store.delete_orphans(set())
    assert [path.name for path in store.root.iterdir()] == ["notes"]


@pytest.mark.parametrize("job", ["", "..", "../" + JOB, "A" * 32, JOB + "/x"])
def test_only_ids_name_a_folder(store: ArtifactStore, job: str) -> None:
    with pytest.raises(JobNotFound):
        store.stack_folder(job)


def test_no_job_starts_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path, min_free_bytes=1 << 62)
    with pytest.raises(DiskFull):
        store.prepare_attempt(JOB)


def test_chunks_start_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(3 << 20))
    assert [len(chunk) for chunk in read_chunks(path, 1 << 19, 2 << 20)] == [1 << 20, 1 << 20]
    assert list(read_chunks(path, 3 << 20, 5)) == []


@pytest.fixture
def uploads(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", max_bytes=100)


@pytest.fixture
def upload() -> Upload:
    return Upload(
        id=str(uuid.UUID(int=7)),
        owner="anna",
        size_bytes=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        media_type="image/png",
    )


def test_an_upload_goes_on_where_it_stopped(uploads: UploadStore, upload: Upload) -> None:
    assert uploads.begin(upload) == 0
    assert uploads.append(upload, 0, DATA[:4]) == 4
    again = UploadStore(uploads.root, max_bytes=100)
    assert again.begin(upload) == again.committed_bytes(upload.id, "anna") == 4
    again.append(upload, 4, DATA[4:])
    again.finish(upload)
    again.finish(upload)
    assert again.path(upload.id).read_bytes() == DATA
    assert again.committed_bytes(upload.id, "anna") == len(DATA)


def test_old_uploads_are_forgotten(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA[:4])
    uploads.delete_older(time.time() - 60)
    assert uploads.committed_bytes(upload.id, "anna") == 4
    uploads.delete_older(time.time() + 60)
    assert list(uploads.root.iterdir()) == []


@pytest.mark.parametrize(("offset", "data"), [(1, b"x"), (0, DATA + b"x"), (-1, b"x")])
def test_bytes_come_in_order(
    uploads: UploadStore, upload: Upload, offset: int, data: bytes
) -> None:
    uploads.begin(upload)
    with pytest.raises(OffsetOutOfRange):
        uploads.append(upload, offset, data)


def test_a_damaged_upload_starts_again(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA[::-1])
    with pytest.raises(ChecksumMismatch):
        uploads.finish(upload)
    assert uploads.committed_bytes(upload.id, "anna") == 0
    assert not uploads.path(upload.id).exists()


def test_an_upload_must_be_whole(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    with pytest.raises(OffsetOutOfRange):
        uploads.finish(upload)


def test_an_upload_belongs_to_its_owner(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    assert uploads.committed_bytes(upload.id, "bert") == 0
    with pytest.raises(ArtifactNotFound):
        uploads.get(upload.id, "bert")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "../../etc/passwd"},
        {"id": ""},
        {"size_bytes": 101},
        {"size_bytes": -1},
        {"sha256": "x" * 64},
        {"media_type": "image/png; charset=x\n"},
    ],
)
def test_announcements_are_checked(
    uploads: UploadStore, upload: Upload, wrong: dict[str, object]
) -> None:
    fields = {name: getattr(upload, name) for name in Upload.__slots__}
    with pytest.raises(InvalidArgument):
        uploads.begin(Upload(**{**fields, **wrong}))


def test_an_upload_id_is_for_one_file(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    fields = {name: getattr(upload, name) for name in Upload.__slots__}
    with pytest.raises(InvalidArgument):
        uploads.begin(Upload(**{**fields, "size_bytes": 11}))


def staged(folder: Path, untrusted: tuple[str, ...] = ()) -> StagedSource:
    path = folder / "bg.exr"
    path.write_bytes(DATA)
    files = {"stack/bg/v001/bg.exr": path, "inputs/mine/0001.exr": path}
    return StagedSource(files=files, texts={"stack/stack.json": "{}"}, untrusted=untrusted)


def test_attempts_share_files_with_the_source_and_not_their_folder(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.stage_source(JOB, staged(tmp_path, ("inputs/mine/0001.exr",)))
    (tmp_path / "bg.exr").unlink()
    store.prepare_attempt(JOB)
    store.copy_source(JOB, 2)
    folder = store.attempt_folder(JOB, 2)
    shared = store.source_folder(JOB) / "stack" / "bg" / "v001" / "bg.exr"
    assert (folder / "bg" / "v001" / "bg.exr").samefile(shared)
    assert (folder / "stack.json").read_text() == "{}"
    assert (store.source_folder(JOB) / "brought.json").read_text() == '["inputs/mine/0001.exr"]'


def test_disks_without_hard_links_get_copies(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    store.stage_source(JOB, staged(tmp_path))
    copy = store.source_folder(JOB) / "inputs" / "mine" / "0001.exr"
    assert copy.read_bytes() == DATA
    assert copy.stat().st_nlink == 1


def test_a_file_that_goes_away_meanwhile_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    source = staged(tmp_path)
    (tmp_path / "bg.exr").unlink()
    with pytest.raises(FilesMissing, match=r"(bg|0001)\.exr"):
        store.stage_source(JOB, source)


def test_a_manifest_that_names_itself_as_a_frame_spoils_nothing(
    store: ArtifactStore, tmp_path: Path
) -> None:
    source = staged(tmp_path)
    mine = source.files["stack/bg/v001/bg.exr"]
    store.stage_source(JOB, replace(source, files={"stack/stack.json": mine}))
    assert mine.read_bytes() == DATA
    assert (store.source_folder(JOB) / "stack" / "stack.json").read_text() == "{}"


def test_an_ended_job_keeps_no_source(store: ArtifactStore, tmp_path: Path) -> None:
    store.stage_source(JOB, staged(tmp_path))
    store.release_sources([JOB])
    store.release_sources([JOB])
    assert not store.source_folder(JOB).exists()
    with pytest.raises(SourceNotFound):
        store.copy_source(JOB, 1)


def test_files_that_no_manifest_names_are_not_published(store: ArtifactStore) -> None:
    older = store.attempt_folder(JOB, 1) / "fg_01" / "v001" / "fg.exr"
    older.parent.mkdir(parents=True)
    older.write_bytes(DATA)
    store.publish(JOB, 1, [record("bg/bg.1001.exr")])
    assert sorted(p.name for p in store.stack_folder(JOB).rglob("*")) == ["bg", "bg.1001.exr"]


def test_a_whole_upload_is_found_by_its_content(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA)
    assert uploads.find_by_hash("anna", upload.sha256) is None
    uploads.finish(upload)
    again = UploadStore(uploads.root, max_bytes=100)
    for store in (uploads, again):
        assert store.find_by_hash("anna", upload.sha256) == store.path(upload.id)
        assert store.find_by_hash("bert", upload.sha256) is None
    again.delete_older(time.time() + 60)
    assert again.find_by_hash("anna", upload.sha256) is None
