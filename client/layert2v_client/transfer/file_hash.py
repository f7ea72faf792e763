"""Files by their SHA-256."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import IO

from layert2v.wire import CHUNK_BYTES
from layert2v_client.errors import Cancelled


def has_content(path: Path, size_bytes: int, sha256: str) -> bool:
    """Return whether ``path`` is a file with these bytes; one that cannot be read is not."""
    try:
        is_candidate = path.is_file() and path.stat().st_size == size_bytes
        return is_candidate and sha256_of(path) == sha256
    except OSError:
        return False


def sha256_of(path: Path, stop: threading.Event | None = None) -> str:
    """Return the hash of a file. Raises ``OSError``, and ``Cancelled`` when ``stop`` is set."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in read_blocks(file):
            if stop is not None and stop.is_set():
                raise Cancelled
            digest.update(block)
    return digest.hexdigest()


def write_all(file: IO[bytes], data: memoryview) -> None:
    """Write all bytes to an unbuffered file, which may take them in parts. Raises ``OSError``."""
    while len(data):
        data = data[file.write(data) :]


def read_all(file: FileIO, data: memoryview) -> bool:
    """Fill memory from an unbuffered file; return whether there were that many bytes."""
    while len(data):
        size = file.readinto(data)
        if not size:
            return False
        data = data[size:]
    return True


def read_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of an open file in blocks of a chunk's size."""
    while block := file.read(CHUNK_BYTES):
        yield block
