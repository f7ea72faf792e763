"""Files that appear whole or not at all.

Knows paths, bytes and full disks, not what the files hold.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layert2v_engine.errors import DiskFull, StackError

PARTIAL_SUFFIX = ".part"
MAX_NEW_FOLDERS = 3  # a stack's own, such as bg/v001, and the stack's

_DISK_FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}

_PROBE_BYTES = 1 << 20
_CONCURRENT_FILES = 4


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` to write to; it becomes ``path`` after the block.

    Hosts poll folders, so a half-written picture must never carry the final name. The name starts
    with a dot and ends in ``.part``: no host takes it for a frame. Missing folders are made, but
    no more than ``MAX_NEW_FOLDERS``. Raises ``DiskFull`` or ``StackError`` for an ``OSError``
    inside the block; whatever goes wrong, the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        if not path.parent.is_dir():
            _make_folder(path.parent)
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):  # not there, or never could be
            temporary.unlink()
        if isinstance(error, OSError):
            raise write_error(path, error) from error
        raise


def _make_folder(folder: Path) -> None:
    """Make a folder and those around it that are missing.

    Raises ``FileNotFoundError`` where many are: a disk that was unmounted takes all folders of a
    run with it, and what is then written in their place is lost under the disk that comes back.
    """
    if not any(each.is_dir() for each in list(folder.parents)[:MAX_NEW_FOLDERS]):
        raise FileNotFoundError(
            errno.ENOENT, "the folders around it are not there; make them, or mount their disk"
        )
    folder.mkdir(parents=True, exist_ok=True)


def write_error(path: Path, error: OSError) -> DiskFull | StackError:
    """Return the engine's error for a failed write."""
    if error.errno in _DISK_FULL_ERRORS:
        return DiskFull(
            f"The disk is full: {path} could not be written.",
            "Free some space or choose another folder, then try again.",
        )
    return StackError(
        f"{path} could not be written: {error.strerror or error}.",
        "Check that the folder exists and that you may write to it.",
        reason="WRITE_FAILED",
    )


def probe_disk_space(path: Path, size_bytes: int) -> None:
    """Write ``size_bytes`` zeros to ``path``; raise the ``OSError`` that a library kept to itself.

    Image libraries drop the system's error number. Where others write at the same time, one that
    failed has given its space back by now: a disk with space for a few such files only is full.
    """
    if shutil.disk_usage(path.parent).free < _CONCURRENT_FILES * size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with path.open("wb", buffering=0) as file:
        remaining = size_bytes
        while remaining > 0:
            remaining -= file.write(bytes(min(remaining, _PROBE_BYTES)))
        os.fsync(file.fileno())
