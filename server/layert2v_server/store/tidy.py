"""What a server removes from its data folder as it starts: what nobody needs, and what is old."""

from __future__ import annotations

import logging

from layert2v_server.domain.state import TERMINAL_STATES, JobState
from layert2v_server.store.retention import DataStores, Retention, remove_expired

_log = logging.getLogger(__name__)


def tidy(stores: DataStores, retention: Retention, now: float) -> None:
    """Remove what nobody needs any more; what may be a mistake goes into the trash for a while.

    ``now`` is in seconds since 1970.
    """
    store, artifacts, trash = stores.jobs, stores.artifacts, stores.trash
    known = store.list_ids()
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
    artifacts.release_sources(store.list_ids(TERMINAL_STATES) - store.quarantined_ids())
    remove_expired(stores, retention, now)
