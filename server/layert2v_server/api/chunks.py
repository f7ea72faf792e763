"""Pieces of files as messages that are ready to send."""

from __future__ import annotations

import os
from pathlib import Path

from layert2v.chunk_codec import encode_read_response
from layert2v.wire import CHUNK_BYTES
from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound


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
    return encode_read_response(offset, data, prefix)
