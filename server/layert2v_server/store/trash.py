"""A folder for what the server removes without being asked, where it stays for a while.

    <root>/<seconds since 1970>_<name>

What a caller deletes is gone at once. What the server finds superfluous by itself may be a mistake,
of the server or of whoever moved its database: that waits here for its grace time.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

_log = logging.getLogger(__name__)


class Trash:
    """The trash folder ``root``, on the disk of what is put into it."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self._clock = clock

    def put(self, path: Path, name: str = "") -> None:
        """Move a file or a folder here; one that cannot be moved stays where it is.

        ``name`` is what it is called here, where its own name says too little.
        """
        try:
            self.root.mkdir(mode=0o700, exist_ok=True)
            path.rename(self.root / f"{int(self._clock())}_{name or path.name}")
        except OSError as error:
            _log.warning("%s cannot be put into the trash: %s", path.name, error.strerror)

    def older(self, than: float) -> list[Path]:
        """Return what was put here before ``than``, in seconds since 1970."""
        found = []
        for path in self.root.glob("*_*") if self.root.is_dir() else ():
            put_at = path.name.partition("_")[0]
            if put_at.isascii() and put_at.isdecimal() and int(put_at) < than:
                found.append(path)
        return found

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a file or a folder for good."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
