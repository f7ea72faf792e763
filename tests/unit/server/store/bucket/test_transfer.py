"""Files into a bucket and out of it: in segments, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("obstore")

from fakes.memory_bucket import MemoryBucket
from layert2v_server.errors import BucketFailed, ObjectMissing, WorkerLost
from layert2v_server.store.bucket import transfer
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.bucket.transfer import Transfers, TransferStopped, segment_keys

SEGMENT, BLOCK = 1000, 100
NEVER = threading.Event()


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transfers]:
    monkeypatch.setattr(transfer, "SEGMENT_BYTES", SEGMENT)
    monkeypatch.setattr(transfer, "BLOCK_BYTES", BLOCK)
    found = Transfers(MemoryBucket())
    yield found
    found.close()


def write_file(folder: Path, size: int) -> tuple[Path, StoredObject]:
    """Write a file, and return it with what it is to be in the bucket."""
    path, data = folder / f"file{size}", os.urandom(size)
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    stored = StoredObject(
        place="a.exr",
        owner="anna",
        location=f"files/{size}",
        size_bytes=size,
        sha256=sha256,
        untrusted=False,
    )
    return path, stored


@pytest.mark.parametrize("size", [0, 1, BLOCK, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
def test_what_is_written_is_fetched(transfers: Transfers, tmp_path: Path, size: int) -> None:
    path, stored = write_file(tmp_path, size)
    transfers.write_files([(path, stored)], NEVER)
    assert transfers.bucket.all_keys() == segment_keys(stored.location, size)  # type: ignore[attr-defined]
    transfers.fetch_files([(stored, tmp_path / "new" / "copy")], NEVER)
    assert (tmp_path / "new" / "copy").read_bytes() == path.read_bytes()
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["copy"]


def test_ranges_cross_blocks_and_segments(transfers: Transfers, tmp_path: Path) -> None:
    path, stored = write_file(tmp_path, 2 * SEGMENT + 50)
    transfers.write_files([(path, stored)], NEVER)
    whole = path.read_bytes()
    for start, end in ((0, 1), (95, 205), (SEGMENT - 5, SEGMENT + 5), (2 * SEGMENT, 2050)):
        data = bytearray(end - start)
        transfers.open(stored).read_into(memoryview(data), start)
        assert data == whole[start:end]


def test_nothing_is_read_ahead_of_what_was_asked_for(transfers: Transfers, tmp_path: Path) -> None:
    path, stored = write_file(tmp_path, SEGMENT)
    transfers.write_files([(path, stored)], NEVER)
    reader = transfers.open(stored)
    reader.limit(BLOCK + 1)
    reader.read_into(memoryview(bytearray(10)), 0)
    reader.read_into(memoryview(bytearray(10)), BLOCK - 9)
    reads = transfers.bucket.reads  # type: ignore[attr-defined]
    assert sorted(reads) == [("files/1000", 0, 100), ("files/1000", 100, 200)]


def test_a_changed_file_is_not_written_as_what_it_was(transfers: Transfers, tmp_path: Path) -> None:
    path, stored = write_file(tmp_path, 10)
    path.write_bytes(b"0123456789")
    with pytest.raises(WorkerLost, match="not what its hash says"):
        transfers.write_files([(path, stored)], NEVER)


def test_a_lost_or_changed_object_is_not_fetched(transfers: Transfers, tmp_path: Path) -> None:
    _, stored = write_file(tmp_path, 10)
    for data in (None, b"0123456789", b"short"):
        if data is not None:
            transfers.bucket.put(stored.location, data)
        with pytest.raises(ObjectMissing, match="not in the server's bucket"):
            transfers.fetch_files([(stored, tmp_path / "new" / "copy")], NEVER)
        assert list((tmp_path / "new").iterdir()) == []


def test_a_transfer_is_stopped(transfers: Transfers, tmp_path: Path) -> None:
    stop, files = threading.Event(), [write_file(tmp_path, size) for size in range(1, 40)]
    with pytest.raises(TransferStopped):
        transfers.write_files(files, stop, lambda _: stop.set())
    assert 1 <= len(transfers.bucket.all_keys()) < 39  # type: ignore[attr-defined]


def test_the_first_error_ends_a_transfer(
    transfers: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise BucketFailed("it denies access")

    monkeypatch.setattr(transfers.bucket, "put", refuse)
    files = [write_file(tmp_path, size) for size in range(1, 40)]
    with pytest.raises(BucketFailed, match="it denies access"):
        transfers.write_files(files, NEVER)
