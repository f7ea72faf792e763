"""Some space that is kept, so that a full disk can be left again.

Cancelling and deleting a job, and a start of the server, write a little to the database before they
free anything. Where the disk has no byte left for that, the reserve is given up for it.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

RESERVE_BYTES = 4 << 20


class DiskReserve:
    """The file ``path``, which holds nothing but its place on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Take the space, where there is plenty of it."""
        with contextlib.suppress(OSError):
            if self._is_full() or shutil.disk_usage(self._path.parent).free < 3 * RESERVE_BYTES:
                return
            self._path.write_bytes(bytes(RESERVE_BYTES))

    def release(self) -> bool:
        """Give up the space; return whether there was any."""
        with contextlib.suppress(OSError):
            was_full = self._is_full()
            self._path.unlink()
            return was_full
        return False

    def _is_full(self) -> bool:
        return self._path.exists() and self._path.stat().st_size == RESERVE_BYTES
