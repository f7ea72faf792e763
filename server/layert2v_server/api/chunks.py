"""Pieces of files as messages that are ready to send."""

from __future__ import annotations

from layert2v.chunk_codec import ChunkEncoder
from layert2v.wire import CHUNK_BYTES
from layert2v_server.store.stored_file import Readable


class ChunkReader:
    """Reads a file up to ``end`` as messages, by turns in two pieces of memory.

    So one can be read while the one before is sent. ``prefix`` are other fields of the first.
    """

    def __init__(self, file: Readable, end: int, prefix: bytes = b"") -> None:
        self._file = file
        self._end = end
        self._prefix = prefix
        self._encoder, self._other = ChunkEncoder(), ChunkEncoder()
        file.limit(end)

    def read(self, offset: int) -> bytes:
        """Return the message with the bytes from ``offset`` on; raises what the file raises."""
        size = min(CHUNK_BYTES, self._end - offset)
        prefix, self._prefix = self._prefix, b""
        self._encoder, self._other = self._other, self._encoder
        return self._encoder.encode_read_response(
            offset, size, lambda data: self._file.read_into(data, offset), prefix
        )
