"""The commands ``quarantine list`` and ``release``: on the database, also while servers run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from layert2v_server.config import Config
from layert2v_server.domain.job import Job
from layert2v_server.errors import ConfigError
from layert2v_server.store.backup import DATABASE
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore


def list_quarantined(config: Config) -> list[Job]:
    """Return the jobs in quarantine, oldest first. Raises ``ConfigError``."""
    with _open_jobs(config) as store:
        return store.list_quarantined()


def release(config: Config, names: Sequence[str]) -> list[Job]:
    """Put jobs from quarantine back into the queue, all of them where there are no ``names``.

    The servers of the database see that within a second. Raises ``ConfigError``, ``JobNotFound``
    and ``NotQuarantined``.
    """
    with _open_jobs(config) as store:
        ids = [name.removeprefix("jobs/") for name in names]
        return [store.release(each) for each in ids or [job.id for job in store.list_quarantined()]]


@contextlib.contextmanager
def _open_jobs(config: Config) -> Iterator[JobStore]:
    """Open the database of servers that may run, and change nothing of its schema."""
    path = config.data.expanduser().resolve() / DATABASE
    if not (config.database or path.is_file()):
        raise ConfigError(
            f"There is no database of a server in {path.parent}.",
            "Name its data folder with --data, or its PostgreSQL with --database.",
        )
    store = JobStore(open_database(config.database or path, is_alone=False))
    try:
        yield store
    finally:
        store.close()
