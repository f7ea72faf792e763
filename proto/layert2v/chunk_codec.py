"""Chunks of files as bytes on the wire, without copies of their data.

Through the message classes the data of a chunk is copied up to four times on its way. A message
that is nothing but one chunk is put together and taken apart by hand here; others are left to the
classes. A test compares the two.

Memory is used again for the next message: a fresh MiB costs 256 page faults, as long as two copies.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

from layert2v.checksum import crc32
from layert2v.v1 import artifacts_pb2

_FIELDS = artifacts_pb2.Chunk.DESCRIPTOR.fields_by_name
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # wire types
_OFFSET = _FIELDS["offset"].number << 3 | _VARINT
_DATA = _FIELDS["data"].number << 3 | _BYTES
_CRC32 = _FIELDS["crc32"].number << 3 | _FIXED32
_READ = artifacts_pb2.ReadArtifactResponse.DESCRIPTOR.fields_by_name["chunk"].number << 3 | _BYTES
_WRITE = artifacts_pb2.WriteArtifactRequest.DESCRIPTOR.fields_by_name["chunk"].number << 3 | _BYTES


class FileChunk(NamedTuple):
    """A piece of a file as it arrived: its offset, its bytes and the CRC-32 that came with them."""

    offset: int
    data: memoryview
    crc32: int

    @property
    def is_whole(self) -> bool:
        """Whether the bytes are those that were sent."""
        return crc32(self.data) == self.crc32


class ChunkEncoder:
    """Puts messages of one chunk together, one after another, in the same memory.

    That is free again when nobody holds the last message any more; before that, the next one gets
    memory of its own.
    """

    def __init__(self) -> None:
        self._stream, self._size = io.BytesIO(), 0

    def encode_read_response(
        self, offset: int, size: int, fill: Callable[[memoryview], object], prefix: bytes = b""
    ) -> bytes:
        """Return a serialised ``ReadArtifactResponse`` with ``size`` bytes of data.

        ``fill`` writes all of them into the memory it is given; ``prefix`` are other fields.
        """
        return self._encode(_READ, offset, size, fill, prefix)

    def encode_write_request(
        self, offset: int, size: int, fill: Callable[[memoryview], object]
    ) -> bytes:
        """Return a serialised ``WriteArtifactRequest`` with ``size`` bytes, written by ``fill``."""
        return self._encode(_WRITE, offset, size, fill, b"")

    def _encode(
        self, tag: int, offset: int, size: int, fill: Callable[[memoryview], object], prefix: bytes
    ) -> bytes:
        fields = bytes((_OFFSET,)) + _varint(offset) + bytes((_DATA,)) + _varint(size)
        end = bytes((_CRC32,))
        length = _varint(len(fields) + size + len(end) + 4)
        start = b"".join((prefix, bytes((tag,)), length, fields))
        total = len(start) + size + len(end) + 4
        if total != self._size:
            self._stream, self._size = io.BytesIO(bytes(total)), total
        # Python copies the stream's memory here where the last message is still in use.
        with self._stream.getbuffer() as message:
            message[: len(start)] = start
            with message[len(start) : len(start) + size] as data:
                fill(data)
                end += crc32(data).to_bytes(4, "little")
            message[len(start) + size :] = end
        return self._stream.getvalue()  # no copy: all of the stream, as one object


def decode_read_response(message: bytes) -> FileChunk:
    """Return the chunk of a ``ReadArtifactResponse``, empty where it has none.

    Raises protobuf's error for bytes that are no message.
    """
    chunk = _decode(_READ, message)
    return chunk or _to_chunk(artifacts_pb2.ReadArtifactResponse.FromString(message).chunk)


def decode_write_request(message: bytes) -> Any:
    """Return the ``FileChunk`` of a ``WriteArtifactRequest``, or the message where it has none.

    Raises protobuf's error for bytes that are no message.
    """
    chunk = _decode(_WRITE, message)
    if chunk is not None:
        return chunk
    request = artifacts_pb2.WriteArtifactRequest.FromString(message)
    return _to_chunk(request.chunk) if request.WhichOneof("step") == "chunk" else request


def serialize(message: Any) -> bytes:
    """Return the bytes of a message; what is serialised already stays."""
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def _decode(tag: int, message: bytes) -> FileChunk | None:
    """Return the one chunk that a message is; None where it is anything else."""
    try:
        if message[0] != tag:
            return None
        size, at = _read_varint(message, 1)
        if at + size != len(message):
            return None
        found: dict[int, Any] = {_OFFSET: 0, _DATA: memoryview(b""), _CRC32: 0}
        while at < len(message):
            field = message[at]
            if field == _DATA:
                size, start = _read_varint(message, at + 1)
                at = start + size
                found[field] = memoryview(message)[start:at]
                if len(found[field]) != size:
                    return None
            elif field == _OFFSET:
                found[field], at = _read_varint(message, at + 1)
            elif field == _CRC32 and at + 5 <= len(message):
                found[field] = int.from_bytes(message[at + 1 : at + 5], "little")
                at += 5
            else:
                return None
        return FileChunk(found[_OFFSET], found[_DATA], found[_CRC32])
    except IndexError:  # it ends early
        return None


def _to_chunk(chunk: artifacts_pb2.Chunk) -> FileChunk:
    return FileChunk(chunk.offset, memoryview(chunk.data), chunk.crc32)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends. Raises ``IndexError`` where it is none below 2**63."""
    value = 0
    for shift in range(0, 63, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError(at)
