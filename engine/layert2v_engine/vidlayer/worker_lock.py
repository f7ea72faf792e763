"""Keeps a new build from the files that actors of an ended one may still be writing.

They live in processes of other machines, so they end a little later than the build that a user has
killed. Each holds a shared lock meanwhile, which the system releases when its process ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layert2v_engine.errors import EngineError

LOCK = ".workers"
WAIT_S = 60.0
_POLL_S = 0.1


@contextmanager
def hold_worker_lock(root: Path, token: str) -> Iterator[None]:
    """Tell that this process works in the data set, whose builder wrote ``token`` into the lock.

    Raises ``EngineError`` where that is not what stands there: this machine sees another folder.
    """
    path = root / LOCK
    try:
        file = path.open("r+", encoding="utf-8")
    except OSError as error:
        raise _not_shared(root) from error
    with file:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_SH)
        if file.read() != token:
            raise _not_shared(root)
        yield


def write_worker_lock(root: Path, token: str) -> None:
    """Make the lock for the actors of a build."""
    path = root / LOCK
    root.mkdir(parents=True, exist_ok=True)
    path.write_text(token, encoding="utf-8")


def remove_worker_lock(root: Path) -> None:
    """Remove the lock when a build has ended in order."""
    (root / LOCK).unlink(missing_ok=True)


def wait_for_workers(root: Path, timeout_s: float = WAIT_S) -> None:
    """Wait until no actor of an ended build is at work. Raises ``EngineError`` if one stays."""
    path = root / LOCK
    if sys.platform == "win32" or not path.exists():
        return
    import fcntl

    end = time.monotonic() + timeout_s
    with path.open("r+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise EngineError(
                        f"Actors of an earlier build are still at work on {root}.",
                        "End them with `ray stop` on their nodes, or wait for them.",
                        reason="DATA_SET_IN_USE",
                    ) from None
            except OSError:  # no locks on this disk
                return
            time.sleep(_POLL_S)


def _not_shared(root: Path) -> EngineError:
    return EngineError(
        f"A node of the cluster does not see {root}.",
        "Build in a folder that all nodes see by the same path.",
        reason="NOT_SHARED",
    )
