"""Files that appear whole or not at all, and the records that a manifest keeps of them.

Knows paths, bytes and full disks, not what the files hold.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layert2v.stack import FileRecord
from layert2v_engine.errors import DiskFull, StackError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_PROBE_BYTES = 1 << 20
_CROWD = 4


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` when the block ends well.

    Hosts poll folders, so a half-written picture must never carry the final name. The name starts
    with a dot and ends in `.part`: no host takes it for a frame. Raises `DiskFull` or `StackError`
    for an `OSError` inside the block; whatever goes wrong, the temporary file is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as problem:
        raise write_error(path, problem) from problem
    finally:
        with suppress(OSError):  # not there, or never could be
            temporary.unlink()


def write_error(path: Path, problem: OSError) -> DiskFull | StackError:
    """The engine's error for a failed write."""
    if problem.errno in _FULL:
        return DiskFull(
            f"The disk is full: {path} could not be written.",
            "Free some space or choose another folder, then try again.",
        )
    return StackError(
        f"{path} could not be written: {problem.strerror or problem}.",
        "Check that the folder exists and that you may write to it.",
        reason="WRITE_FAILED",
    )


def write_plainly(path: Path, size_bytes: int) -> None:
    """Write `size_bytes` zeros to `path`, to learn from the `OSError` why a library could not.

    Picture libraries drop the system's error number. Where others write at the same time, one that
    failed has given its room back by now: a disk with room for a few such files only is full.
    """
    if shutil.disk_usage(path.parent).free < _CROWD * size_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with path.open("wb", buffering=0) as file:
        left = size_bytes
        while left > 0:
            left -= file.write(bytes(min(left, _PROBE_BYTES)))
        os.fsync(file.fileno())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes of this system from changing the stack in `folder` meanwhile.

    Raises `StackError` with reason `STACK_BUSY`. Nothing is left in the folder, also by a process
    that was killed. Where folders cannot be locked (Windows, some network disks) nothing is done.
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


def remove_empty(folder: Path, root: Path) -> None:
    """Remove `folder` and its parents below `root` as long as nothing is in them."""
    while folder != root:
        if folder.is_dir():
            if any(folder.iterdir()):
                return
            folder.rmdir()
        folder = folder.parent


def record(path: Path, folder: Path) -> FileRecord:
    """Size and SHA-256 of `path`, named relative to `folder`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileRecord(
        path=path.relative_to(folder).as_posix(), size_bytes=path.stat().st_size, sha256=digest
    )
