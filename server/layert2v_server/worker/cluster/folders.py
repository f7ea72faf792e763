"""Folders for copies on a node: one for each actor, deleted with it, or by the next one."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

_PREFIX, _LOCK = "layert2v_worker_", ".lock"


def claim_folder(parent: Path) -> Path:
    """Make a folder that is in use as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)  # open until the end
    _lock(descriptor)
    return folder


def clear_stale_folders(parent: Path) -> None:
    """Delete the folders of processes that are gone."""
    for lock in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # of another user, or gone meanwhile
            descriptor = os.open(lock, os.O_RDWR)
            try:
                if _lock(descriptor):
                    shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; tell if nobody else has."""
    if sys.platform == "win32":  # Ray's nodes for this are Linux
        return False
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
