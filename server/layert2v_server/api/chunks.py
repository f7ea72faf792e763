"""Pieces of files as messages that are ready to send."""

from __future__ import annotations

import os
from pathlib import Path

from layert2v.chunk_codec import ChunkEncoder
from layert2v.wire import CHUNK_BYTES
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import open_regular


class ChunkReader:
    """Reads a file up to ``end`` as messages, by turns in two pieces of memory.

    So one can be read while the one before is sent. ``prefix`` are other fields of the first.
    """

    def __init__(self, path: Path, end: int, prefix: bytes = b"") -> None:
        self._path = path
        self._end = end
        self._prefix = prefix
        self._encoder, self._other = ChunkEncoder(), ChunkEncoder()

    def read(self, offset: int) -> bytes:
        """Return the message with the bytes from ``offset`` on.

        The file is open only meanwhile: a reader that does not read holds no descriptor. Raises
        ``ArtifactNotFound``, ``ArtifactDamaged`` where the file is shorter than it should be, and
        ``StorageFailed`` where it cannot be opened at the moment.
        """
        size = min(CHUNK_BYTES, self._end - offset)
        prefix, self._prefix = self._prefix, b""
        self._encoder, self._other = self._other, self._encoder
        with convert_os_errors():
            try:
                with open_regular(self._path) as descriptor:
                    return self._encoder.encode_read_response(
                        offset, size, lambda data: _read_at(descriptor, data, offset), prefix
                    )
            except FileNotFoundError as error:
                raise ArtifactNotFound(self._path.name) from error


def _read_at(descriptor: int, data: memoryview, offset: int) -> None:
    try:
        size = os.preadv(descriptor, [data], offset)
    except OSError as error:  # of the disk
        raise ArtifactDamaged from error
    if size != len(data):
        raise ArtifactDamaged
