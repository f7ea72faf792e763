"""Uploads: resumed, checked, and found by content."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    DiskFull,
    InvalidArgument,
    OffsetOutOfRange,
    StorageFailed,
)
from layert2v_server.store import upload_writer
from layert2v_server.store.uploads import Upload, UploadStore

DATA = b"0123456789"


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


def test_an_upload_is_resumed(uploads: UploadStore, upload: Upload) -> None:
    assert uploads.begin(upload) == 0
    assert uploads.append(upload, 0, DATA[:4]) == 4
    again = UploadStore(uploads.root, max_bytes=100)
    assert again.begin(upload) == again.committed_bytes(upload.id, "anna") == 4
    again.append(upload, 4, DATA[4:])
    again.finish(upload)
    again.finish(upload)
    assert again.path(upload.id, "anna").read_bytes() == DATA
    assert again.committed_bytes(upload.id, "anna") == len(DATA)


def test_old_uploads_are_found_with_all_their_files(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA[:4])
    assert uploads.older(time.time() - 60) == []
    (files,) = uploads.older(time.time() + 60)
    assert {file.suffix for file in files} == {".json", ".part"}


@pytest.mark.parametrize(("offset", "data"), [(1, b"x"), (0, DATA + b"x"), (-1, b"x")])
def test_bytes_are_appended_in_order(
    uploads: UploadStore, upload: Upload, offset: int, data: bytes
) -> None:
    uploads.begin(upload)
    with pytest.raises(OffsetOutOfRange):
        uploads.append(upload, offset, data)


def test_a_damaged_upload_is_deleted(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA[::-1])
    with pytest.raises(ChecksumMismatch):
        uploads.finish(upload)
    assert uploads.committed_bytes(upload.id, "anna") == 0
    assert not uploads.path(upload.id, "anna").exists()


def test_an_upload_must_be_complete(uploads: UploadStore, upload: Upload) -> None:
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
def test_announced_uploads_are_validated(
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


def test_a_complete_upload_is_found_by_hash(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA)
    assert uploads.find_by_hash("anna", upload.sha256) is None
    uploads.finish(upload)
    again = UploadStore(uploads.root, max_bytes=100)
    for store in (uploads, again):
        assert store.find_by_hash("anna", upload.sha256) == store.path(upload.id, "anna")
        assert store.find_by_hash("bert", upload.sha256) is None
    again.path(upload.id, "anna").unlink()
    assert again.find_by_hash("anna", upload.sha256) is None


def test_uploads_leave_space_on_the_disk(tmp_path: Path, upload: Upload) -> None:
    full = UploadStore(tmp_path / "uploads", max_bytes=100, min_free_bytes=1 << 62)
    with pytest.raises(DiskFull):
        full.begin(upload)
    assert list(full.root.iterdir()) == []


def test_uploads_are_deleted_by_their_owner(uploads: UploadStore, upload: Upload) -> None:
    for other in (upload, replace(upload, id=str(uuid.UUID(int=8)))):
        uploads.begin(other)
        uploads.append(other, 0, DATA)
    uploads.finish(upload)
    assert uploads.delete("bert", None) == uploads.delete("bert", [upload.id]) == 0
    assert uploads.delete("anna", [upload.id, str(uuid.UUID(int=9))]) == 1
    assert uploads.find_by_hash("anna", upload.sha256) is None
    assert uploads.delete("anna", None) == 1
    assert list(uploads.root.iterdir()) == []


def test_an_id_says_nothing_about_the_uploads_of_others(
    uploads: UploadStore, upload: Upload
) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA)
    assert uploads.begin(replace(upload, owner="bert")) == 0
    assert uploads.committed_bytes(upload.id, "anna") == len(DATA)


def test_damaged_notes_and_files_without_owner_in_their_names(
    uploads: UploadStore, upload: Upload
) -> None:
    (uploads.root / "a.json").write_text("")
    (uploads.root / "a.bin").write_bytes(DATA)
    (uploads.root / "b.json").write_text("[]")
    (uploads.root / f"{upload.id}.json").write_text(json.dumps(asdict(upload)))
    (uploads.root / f"{upload.id}.bin").write_bytes(DATA)
    again = UploadStore(uploads.root, max_bytes=100)
    assert again.find_by_hash("anna", upload.sha256) == again.path(upload.id, "anna")
    found = {file for files in again.older(time.time() + 60) for file in files}
    assert found == set(again.root.iterdir())


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_what_is_no_file_is_no_upload(uploads: UploadStore, upload: Upload, kind: str) -> None:
    for suffix in ("json", "bin"):
        make_special(uploads.path(upload.id, "anna").with_suffix(f".{suffix}"), kind)
    again = UploadStore(uploads.root, max_bytes=100)
    assert again.find_by_hash("anna", upload.sha256) is None
    with pytest.raises(ArtifactNotFound):
        again.get(upload.id, "anna")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_bytes_go_into_a_regular_file_only(uploads: UploadStore, upload: Upload, kind: str) -> None:
    uploads.begin(upload)
    part = uploads.path(upload.id, "anna").with_suffix(".part")
    make_special(part, kind)
    offset = uploads.committed_bytes(upload.id, "anna")
    with pytest.raises((StorageFailed, OffsetOutOfRange)):
        uploads.append(upload, min(offset, len(DATA)), DATA[offset:] or b"x")


def test_a_writer_notices_what_others_do_with_its_file(
    uploads: UploadStore, upload: Upload
) -> None:
    uploads.begin(upload)
    with closing(uploads.writer(upload)) as writer:
        assert writer.append(0, DATA[:2]) == 2
        assert uploads.append(upload, 2, DATA[2:4]) == 4  # by another server on the same folder
        with pytest.raises(OffsetOutOfRange, match="next byte of this upload is 4 of 10, not 2"):
            writer.append(2, DATA[2:4])
        assert writer.append(4, DATA[4:6]) == 6
        uploads.delete("anna", [upload.id])
        with pytest.raises(OffsetOutOfRange, match="is 0 of 10"):
            writer.append(6, DATA[6:])
        uploads.begin(upload)
        assert writer.append(0, DATA) == 10
    uploads.finish(upload)
    assert uploads.path(upload.id, "anna").read_bytes() == DATA


def test_a_writer_looks_for_space_again_and_again(
    uploads: UploadStore, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_writer, "SPACE_INTERVAL_BYTES", 4)
    uploads.begin(upload)
    with closing(uploads.writer(upload)) as writer:
        assert writer.append(0, DATA[:3]) == 3
        uploads._min_free_bytes = 1 << 62  # others have filled the disk
        assert writer.append(3, DATA[3:4]) == 4
        with pytest.raises(DiskFull):
            writer.append(4, DATA[4:])
    assert uploads.committed_bytes(upload.id, "anna") == 4


def test_what_arrives_after_a_deletion_is_not_kept(uploads: UploadStore, upload: Upload) -> None:
    uploads.begin(upload)
    with closing(uploads.writer(upload)) as writer:
        assert uploads.delete("anna", [upload.id]) == 1
        with pytest.raises(OffsetOutOfRange, match="deleted"):
            writer.append(0, DATA)
    with pytest.raises(OffsetOutOfRange, match="deleted"):
        uploads.finish(upload)
    assert list(uploads.root.iterdir()) == []


def test_a_deletion_while_an_upload_is_finished(
    uploads: UploadStore, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads.begin(upload)
    uploads.append(upload, 0, DATA)

    def delete_first(part: Path, size: int) -> str:
        data = part.read_bytes()
        uploads.delete("anna", [upload.id])
        part.write_bytes(data)  # as a piece that was on its way
        return hashlib.sha256(data).hexdigest()

    monkeypatch.setattr(uploads, "_digest", delete_first)
    with pytest.raises(OffsetOutOfRange, match="deleted"):
        uploads.finish(upload)
    assert list(uploads.root.iterdir()) == []
    assert uploads.find_by_hash("anna", upload.sha256) is None


def test_two_servers_that_take_the_same_bytes(uploads: UploadStore, upload: Upload) -> None:
    """A caller whose connection broke goes on at another server of the same folder."""
    uploads.begin(upload)
    other = UploadStore(uploads.root, max_bytes=100)
    with closing(uploads.writer(upload)) as first, closing(other.writer(upload)) as second:
        assert first.append(0, DATA[:4]) == second.append(4, DATA[4:8]) - 4 == 4
        first._write(DATA[4:8], 4)  # what it had looked at before the second one wrote
        assert second.append(8, DATA[8:]) == len(DATA)
    other.finish(upload)
    assert other.path(upload.id, "anna").read_bytes() == DATA
