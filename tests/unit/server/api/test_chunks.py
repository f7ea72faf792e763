"""Chunks of files as messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v.v1 import artifacts_pb2
from layert2v_server.api.chunks import read_chunk
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound

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
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ArtifactNotFound):
        read_chunk(tmp_path / "link", 0, 5, b"")
