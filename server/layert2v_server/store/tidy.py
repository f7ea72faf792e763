"""What a server removes from its data folder as it starts: what nobody needs any more.

    <data>/last_used    when a server last used the folder, in seconds since 1970

Age is told by the clock of the machine. Where that has jumped, as after a battery that was changed,
everything would be old at once: then nothing is removed for its age until the next start.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v_server.domain.state import TERMINAL_STATES, JobState
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.regular_file import read_regular
from layert2v_server.store.trash import Trash
from layert2v_server.store.uploads import UploadStore

DAY_S = 86_400
MAX_REST_DAYS = 30  # a server that rested for longer removes nothing for its age at its first start

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How many days uploads and the contents of the trash are kept."""

    uploads_days: float
    trash_days: float


def tidy(
    data: Path,
    retention: Retention,
    store: JobStore,
    artifacts: ArtifactStore,
    uploads: UploadStore,
    now: float,
) -> None:
    """Remove what nobody needs any more; what may be a mistake goes into the trash for a while.

    ``now`` is in seconds since 1970.
    """
    trash, known = Trash(data / "trash"), store.list_ids()
    artifacts.complete_deletions(known, trash)
    finished = artifacts.unknown_stacks(known)
    if finished:  # most likely the database was moved, or is another one
        _log.warning(
            "%d finished stacks are not in the database; they stay, and "
            "layert2v-server serve --rebuild registers them again",
            len(finished),
        )
    discarded = artifacts.discard_orphans(known, trash) if known else 0
    if discarded:
        _log.warning("%d folders of unknown jobs were moved to %s", discarded, trash.root)
    artifacts.discard_unpublished(store.list_ids((JobState.FAILED, JobState.CANCELLED)), trash)
    artifacts.release_sources(store.list_ids(TERMINAL_STATES))
    if _is_age_certain(data, now):
        uploads.delete_older(now - retention.uploads_days * DAY_S)
        trash.delete_older(now - retention.trash_days * DAY_S)
    note_use(data, now)


def note_use(data: Path, now: float) -> None:
    """Note that the data folder is used now, in seconds since 1970."""
    with contextlib.suppress(OSError):  # a full disk: the next start removes nothing for its age
        atomic_write(data / "last_used", f"{now:.0f}\n")


def _is_age_certain(data: Path, now: float) -> bool:
    """Tell if no more time has gone since the last use than a server rests."""
    try:
        rest_s = now - float(read_regular(data / "last_used", 100))
    except (OSError, ValueError):  # a new folder
        return False
    if -1 <= rest_s <= MAX_REST_DAYS * DAY_S:
        return True
    _log.warning("the clock has jumped, or the server rested; nothing is removed for its age")
    return False
