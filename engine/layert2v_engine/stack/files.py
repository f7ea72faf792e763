"""The folder of a stack: who may change it, what its manifest records of a file, empty folders.

Knows paths and bytes, not what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from layert2v.stack import FileRecord
from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import write_error


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep other processes of this system from changing the stack in ``folder`` meanwhile.

    Raises ``StackError`` with reason ``STACK_BUSY``. Nothing is left in the folder, also by a
    process that was killed. Where folders cannot be locked (Windows, some network disks) nothing is
    done.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"Another program is changing the stack in {folder}.",
                "Wait until it is done, then try again.",
                reason="STACK_BUSY",
            ) from None
        except OSError:  # no locks on this disk
            pass
        yield
    finally:
        os.close(descriptor)


def remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove ``folder`` and its parents below ``root`` as long as nothing is in them."""
    while folder != root:
        if folder.is_dir():
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent


def file_record(path: Path, folder: Path) -> FileRecord:
    """Return size and SHA-256 of ``path``, named relative to ``folder``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(
        path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=digest
    )


def check_writable(folder: Path) -> None:
    """Raise ``DiskFull`` or ``StackError`` at once if nothing can be written to ``folder``."""
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise write_error(folder, error) from error
