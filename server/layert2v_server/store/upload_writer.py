"""The growing file of one upload, open for as long as its pieces arrive."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import IO

from layert2v_server.errors import DiskFull, OffsetOutOfRange
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import write_regular

SPACE_INTERVAL_BYTES = 16 << 20  # after so many, it is looked again how much space is left


class UploadWriter:
    """Appends to the file ``part`` of an upload of ``size_bytes``, until it is ``complete``.

    The file of an upload has a ``note``: without it, the upload was deleted.

    ``require_space`` returns how much may be written, and raises where that is less than a piece;
    ``add_to_hash`` is told of each piece by a thread of ``hashing``, while the next one is written:
    a SHA-256 takes longer than the disk. So a piece must stay as it is until the next one is taken.
    Not for two threads at a time.
    """

    def __init__(
        self,
        note: Path,
        part: Path,
        complete: Path,
        size_bytes: int,
        *,
        require_space: Callable[[int], int],
        add_to_hash: Callable[[Path, int, bytes | memoryview], None],
        hashing: Executor,
    ) -> None:
        self._note, self._part, self._complete = note, part, complete
        self._size_bytes = size_bytes
        self._require_space, self._add_to_hash = require_space, add_to_hash
        self._hashing = hashing
        self._hashed: Future[None] | None = None  # of the piece before
        self._file: IO[bytes] | None = None
        self._allowed = 0  # bytes, until it is looked again

    def append(self, offset: int, data: bytes | memoryview) -> int:
        """Append the next bytes, and return the new size.

        Raises ``OffsetOutOfRange``, also where somebody else has written, deleted or completed the
        file, ``DiskFull`` and ``StorageFailed``.
        """
        with convert_os_errors():
            size = self._current_size()
            if offset != size or size + len(data) > self._size_bytes:
                raise OffsetOutOfRange(
                    f"The next byte of this upload is {size} of {self._size_bytes}, not {offset}.",
                    "Ask with QueryWrite where to go on.",
                )
            if len(data) > self._allowed:
                self._allowed = min(self._require_space(len(data)), SPACE_INTERVAL_BYTES)
            self._write(data, size)
        self._allowed -= len(data)
        self._wait_for_hash()
        self._hashed = self._hashing.submit(self._add_to_hash, self._part, offset, data)
        return size + len(data)

    def close(self) -> None:
        """Close the file, all of it hashed; the next piece opens it again."""
        self._wait_for_hash()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _wait_for_hash(self) -> None:
        if self._hashed is not None:
            hashed, self._hashed = self._hashed, None
            hashed.result()

    def _current_size(self) -> int:
        """Return the size of the file as it is, wherever it is complete or deleted by now."""
        if self._file is not None:
            info = os.fstat(self._file.fileno())
            if info.st_nlink:
                return info.st_size
            self.close()
        for path in (self._complete, self._part):
            try:
                return path.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def _write(self, data: bytes | memoryview, size: int) -> None:
        if self._file is None:
            self._file = self._open()
        try:
            # At its place: two servers that take the same bytes at once must not both add them.
            self._file.seek(size)
            if self._file.write(data) != len(data):
                raise DiskFull
        except BaseException:
            self._file.truncate(size)  # half a chunk must not count as one
            raise

    def _open(self) -> IO[bytes]:
        """Open the file. Raises ``OffsetOutOfRange`` where the upload was deleted."""
        file = write_regular(self._part)
        if not self._note.exists():  # nobody would count the bytes, or delete them
            file.close()
            self._part.unlink(missing_ok=True)
            raise upload_deleted()
        return file


def upload_deleted() -> OffsetOutOfRange:
    """Return the error of an upload that was deleted while it arrived."""
    return OffsetOutOfRange("This upload was deleted while it arrived.", "Begin it again.")
