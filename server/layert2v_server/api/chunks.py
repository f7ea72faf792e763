"""Pieces of files as messages that are ready to send.

A ``ReadArtifactResponse`` is put together from bytes here: through the message classes each chunk
would be copied four times, in the one thread that serves every call. A test compares the two.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

from layert2v.v1 import artifacts_pb2
from layert2v.wire import CHUNK_BYTES
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound

_CHUNK = artifacts_pb2.ReadArtifactResponse.DESCRIPTOR.fields_by_name["chunk"].number
_DATA = artifacts_pb2.Chunk.DESCRIPTOR.fields_by_name["data"].number
_BYTES = 2  # the wire type of bytes and of messages


def read_chunk(path: Path, offset: int, end: int, prefix: bytes) -> bytes:
    """Return the message with the bytes of a file from ``offset`` on, at most up to ``end``.

    ``prefix`` are other fields of the message. The file is open only meanwhile: a reader that does
    not read holds no descriptor. Raises ``ArtifactNotFound``, and ``ArtifactDamaged`` where the
    file is shorter than it should be.
    """
    size = min(CHUNK_BYTES, end - offset)
    try:
        # A symbolic link must not lead out of the store.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ArtifactNotFound(path.name) from error
    try:
        data = os.pread(descriptor, size, offset)
    except OSError as error:
        raise ArtifactDamaged from error
    finally:
        os.close(descriptor)
    if len(data) != size:
        raise ArtifactDamaged
    return encode_chunk(offset, data, prefix)


def encode_chunk(offset: int, data: bytes, prefix: bytes = b"") -> bytes:
    """Return a ``ReadArtifactResponse`` with one chunk, serialised, after ``prefix``."""
    rest = artifacts_pb2.Chunk(offset=offset, crc32=zlib.crc32(data)).SerializeToString()
    field = _tag(_DATA) + _varint(len(data)) if data else b""
    length = _varint(len(rest) + len(field) + len(data))
    return b"".join((prefix, _tag(_CHUNK), length, rest, field, data))


def _tag(number: int) -> bytes:
    return _varint(number << 3 | _BYTES)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
