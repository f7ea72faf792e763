"""Change the state of a job inside a transaction, and count the changes of the queue.

Every queued job may have a new place when another one joins the queue, starts or ends, and a
watcher only sees new revisions. So the revision of a queued job is what its row says plus the
changes of the queue since it joined: one counter rises, and no other row is written.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select, update

from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.state import TERMINAL_STATES, JobEvent, JobState, next_state
from layert2v_server.store.database import announce
from layert2v_server.store.rows import get_job
from layert2v_server.store.tables import QUEUE_CHANGES, jobs, totals


def apply_event(
    connection: Connection, job: Job, event: JobEvent, now: float, **values: Any
) -> Job:
    """Store the state that ``event`` leads to, with other new ``values``, and return the job.

    The row of the job must be locked. Raises ``InvalidTransition``.
    """
    state = next_state(job.state, event)
    if state in TERMINAL_STATES:
        # A clock that was set back must not end a job before it began.
        values["finished"] = max(now, job.started or job.created)
    elif state is JobState.QUEUED:
        values["progress"] = asdict(Progress())
    revision = jobs.c.revision + 1
    if state is not JobState.CANCELLING:
        changes = count_queue_change(connection)
        if job.state is JobState.QUEUED:
            revision = jobs.c.revision + (changes - jobs.c.queue_base)
        elif state is JobState.QUEUED:
            values["queue_base"] = changes
    changed = update(jobs).where(jobs.c.id == job.id)
    connection.execute(changed.values(state=state, revision=revision, **values))
    announce(connection, job.id)
    return get_job(connection, job.id)


def requeue_or_fail(
    connection: Connection,
    job: Job,
    failure: Failure,
    max_attempts: int,
    now: float,
    **values: Any,
) -> Job:
    """Return a job that has lost its worker to the queue; after the last attempt let it fail."""
    attempts = job.attempt - job.attempt_base
    if job.state is JobState.RUNNING and attempts >= max_attempts:
        values["failure"] = asdict(failure)
        return apply_event(connection, job, JobEvent.FAIL, now, **values)
    return apply_event(connection, job, JobEvent.REQUEUE, now, **values)


def count_queue_change(connection: Connection) -> int:
    """Count one change of the queue, and return the number of all so far.

    On PostgreSQL this locks the counter to the end of the transaction: until then no other one can
    change the queue.
    """
    announce(connection, "")
    counter = totals.c.name == QUEUE_CHANGES
    connection.execute(update(totals).where(counter).values(value=totals.c.value + 1))
    return int(connection.execute(select(totals.c.value).where(counter)).scalar_one())
