"""Chunks of files as messages."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v.v1 import artifacts_pb2
from layert2v_server.api.chunks import ChunkReader
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound, StorageFailed
from layert2v_server.store.stored_file import LocalFile

MIB = 1 << 20


def test_chunks_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(3 * MIB) + b"end")
    sizes = []
    for offset, end in ((MIB // 2, 3 * MIB), (3 * MIB, 3 * MIB + 3), (5, 5)):
        message = artifacts_pb2.ReadArtifactResponse.FromString(
            ChunkReader(LocalFile(path), end).read(offset)
        )
        sizes.append(len(message.chunk.data))
    assert sizes == [MIB, 3, 0]


def test_chunks_in_turn_with_other_fields_before_the_first(tmp_path: Path) -> None:
    path, content = tmp_path / "big", os.urandom(3 * MIB + 7)
    path.write_bytes(content)
    prefix = artifacts_pb2.ReadArtifactResponse(size_bytes=len(content)).SerializeToString()
    reader, found, sizes = ChunkReader(LocalFile(path), len(content), prefix), bytearray(), []
    for offset in range(0, len(content), MIB):
        answer = artifacts_pb2.ReadArtifactResponse.FromString(reader.read(offset))
        found += answer.chunk.data
        sizes.append(answer.size_bytes)
        assert answer.chunk.crc32 == zlib.crc32(answer.chunk.data)
    assert found == content
    assert sizes == [len(content), 0, 0, 0]


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"12345")
    with pytest.raises(ArtifactDamaged):
        ChunkReader(LocalFile(path), 6).read(0)
    with pytest.raises(ArtifactNotFound):
        ChunkReader(LocalFile(tmp_path / "none"), 6).read(0)


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_only_regular_files_are_sent(tmp_path: Path, kind: str) -> None:
    make_special(tmp_path / "file", kind)
    with pytest.raises(ArtifactNotFound):
        ChunkReader(LocalFile(tmp_path / "file"), 5).read(0)


def test_a_file_that_cannot_be_opened_now_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageFailed, match="too many open files"):
        ChunkReader(LocalFile(tmp_path / "file"), 5).read(0)
