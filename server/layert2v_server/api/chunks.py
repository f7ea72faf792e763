"""Pieces of files as messages that are ready to send."""

from __future__ import annotations

import os
from pathlib import Path

from layert2v.chunk_codec import encode_read_response
from layert2v.wire import CHUNK_BYTES
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import open_regular


def read_chunk(path: Path, offset: int, end: int, prefix: bytes) -> bytes:
    """Return the message with the bytes of a file from ``offset`` on, at most up to ``end``.

    ``prefix`` are other fields of the message. The file is open only meanwhile: a reader that does
    not read holds no descriptor. Raises ``ArtifactNotFound``, ``ArtifactDamaged`` where the file
    is shorter than it should be, and ``StorageFailed`` where it cannot be opened at the moment.
    """
    size = min(CHUNK_BYTES, end - offset)
    with convert_os_errors():
        try:
            with open_regular(path) as descriptor:
                data = _read_at(descriptor, size, offset)
        except FileNotFoundError as error:
            raise ArtifactNotFound(path.name) from error
    if len(data) != size:
        raise ArtifactDamaged
    return encode_read_response(offset, data, prefix)


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, size, offset)
    except OSError as error:  # of the disk
        raise ArtifactDamaged from error
