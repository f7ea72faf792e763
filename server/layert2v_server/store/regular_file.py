"""Files of the data folder, opened only where they are what they should be: regular files.

A symbolic link could lead out of the folder; a pipe or a device in the place of a file would hold
the thread that opens it, or never end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# What a system is short of for a while; the file may be there all the same.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

# Windows has neither, nor pipes in folders.
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def is_regular(path: Path) -> bool:
    """Tell if there is a regular file of that name, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[int]:
    """Open a regular file for reading; yield its descriptor.

    Raises ``OSError``: ``FileNotFoundError`` also where something else than a file lies there.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.ENODEV):
            raise _not_found(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _not_found(path)
        yield descriptor
    finally:
        os.close(descriptor)


def write_regular(path: Path) -> IO[bytes]:
    """Open a regular file for writing into it, unbuffered; make it where there is none.

    Raises ``OSError``.
    """

    def open_file(name: str, flags: int) -> int:
        return os.open(name, flags & ~os.O_TRUNC | _FLAGS, 0o600)

    return open(path, "wb", buffering=0, opener=open_file)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises ``OSError``, also where it has too many."""
    with open_regular(path) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return data


def _not_found(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
