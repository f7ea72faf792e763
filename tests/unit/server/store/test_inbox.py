"""Files that callers offer: copied in turns; nothing else that lies there is opened."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v_server.errors import DiskFull, OffsetOutOfRange
from layert2v_server.store import inbox as inbox_module
from layert2v_server.store.inbox import Inbox
from layert2v_server.store.uploads import Upload, UploadStore

DATA = b"0123456789"


@pytest.fixture
def uploads(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", max_bytes=100)


@pytest.fixture
def upload(uploads: UploadStore) -> Upload:
    upload = Upload(
        id=str(uuid.UUID(int=7)),
        owner="anna",
        size_bytes=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
        media_type="image/png",
    )
    uploads.begin(upload)
    return upload


@pytest.fixture
def inbox(tmp_path: Path, uploads: UploadStore) -> Inbox:
    return Inbox(tmp_path / "inbox", uploads).open()


def test_a_file_is_copied_in_turns(
    inbox: Inbox, uploads: UploadStore, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "TURN_BYTES", 4)
    assert inbox.copy(upload) is None
    place = inbox.place(upload.id, "anna")
    place.write_bytes(DATA)
    uploads.append(upload, 0, DATA[:1])  # by a chunk
    assert [inbox.copy(upload) for _ in range(4)] == [5, 9, 10, 10]
    uploads.finish(upload)
    assert uploads.path(upload.id, "anna").read_bytes() == place.read_bytes() == DATA
    assert not uploads.path(upload.id, "anna").samefile(place)
    inbox.remove(upload)
    inbox.remove(upload)
    assert not place.exists()


@pytest.mark.parametrize("content", [DATA[:-1], DATA + b"x", b""])
def test_a_file_of_another_size_is_refused(inbox: Inbox, upload: Upload, content: bytes) -> None:
    inbox.place(upload.id, "anna").write_bytes(content)
    with pytest.raises(OffsetOutOfRange, match="does not have 10 bytes"):
        inbox.copy(upload)


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_what_is_no_file_is_not_opened(inbox: Inbox, upload: Upload, kind: str) -> None:
    make_special(inbox.place(upload.id, "anna"), kind)
    assert inbox.copy(upload) is None


def test_a_full_disk_is_said(inbox: Inbox, upload: Upload, tmp_path: Path) -> None:
    inbox.place(upload.id, "anna").write_bytes(DATA)
    full = UploadStore(tmp_path / "uploads", max_bytes=100, min_free_bytes=1 << 62)
    with pytest.raises(DiskFull):
        Inbox(inbox.root, full).copy(upload)


def test_the_age_of_a_link_is_not_that_of_its_file(inbox: Inbox, tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_bytes(DATA)
    os.utime(old, (1.0, 1.0))
    (inbox.root / "link").hardlink_to(old)
    assert inbox.older(time.time() - 60) == []
    assert inbox.older(time.time() + 60) == [inbox.root / "link"]
    assert Inbox(tmp_path / "none", inbox._uploads).older(time.time()) == []
