"""Chunks of files as messages."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v.v1 import artifacts_pb2
from layert2v_server.api.chunks import read_chunk
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound, StorageFailed

MIB = 1 << 20


def test_chunks_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(bytes(3 * MIB) + b"end")
    sizes = []
    for offset, end in ((MIB // 2, 3 * MIB), (3 * MIB, 3 * MIB + 3), (5, 5)):
        chunk = artifacts_pb2.ReadArtifactResponse.FromString(read_chunk(path, offset, end, b""))
        sizes.append(len(chunk.chunk.data))
    assert sizes == [MIB, 3, 0]


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"12345")
    with pytest.raises(ArtifactDamaged):
        read_chunk(path, 0, 6, b"")
    with pytest.raises(ArtifactNotFound):
        read_chunk(tmp_path / "none", 0, 6, b"")


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_only_regular_files_are_sent(tmp_path: Path, kind: str) -> None:
    make_special(tmp_path / "file", kind)
    with pytest.raises(ArtifactNotFound):
        read_chunk(tmp_path / "file", 0, 5, b"")


def test_a_file_that_cannot_be_opened_now_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageFailed, match="too many open files"):
        read_chunk(tmp_path / "file", 0, 5, b"")
