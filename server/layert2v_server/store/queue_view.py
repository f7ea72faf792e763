"""The queue as it is now: the order of its jobs, and when each may start.

It is computed once for each change of the queue, which the database counts, however many watchers
and lists ask. On 1000 queued jobs that takes some ten milliseconds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, case, func, select

from layert2v_server.domain.queue_order import Place, Priority, QueuedJob, find_places, order_queue
from layert2v_server.domain.state import JobState
from layert2v_server.store.speeds import read_speeds
from layert2v_server.store.tables import QUEUE_CHANGES, jobs, totals

MAX_PRIORITY = max(Priority)
OPEN_STATES = (JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)


@dataclass(frozen=True, slots=True)
class QueueView:
    """The ``places`` of all queued jobs by id, in order, after ``changes`` changes of the queue.

    ``moment`` is when it was computed, in seconds of the monotonic clock.
    """

    changes: int
    places: Mapping[str, Place]
    moment: float

    def place(self, job_id: str) -> Place | None:
        """Return the place of a job, with the seconds from now; None where it is not queued."""
        place = self.places.get(job_id)
        if place is None or place.start_s is None:
            return place
        passed_s = time.monotonic() - self.moment
        return Place(position=place.position, start_s=max(0.0, place.start_s - passed_s))


EMPTY_QUEUE = QueueView(-1, MappingProxyType({}), 0.0)


def read_queue(
    connection: Connection, known: QueueView, now: float, changes: int | None = None
) -> QueueView:
    """Return the queue, which is ``known`` where it has not changed since.

    ``now`` is in seconds since 1970; ``changes`` counts the changes of the queue where a row of
    this transaction has told it already. In a transaction that has changed the queue, the result
    must not be kept: it may be undone.
    """
    if changes is None:
        counter = select(totals.c.value).where(totals.c.name == QUEUE_CHANGES)
        changes = int(connection.execute(counter).scalar_one())
    if changes == known.changes:
        return known
    speeds = read_speeds(connection)
    mean = {kind: sum(found.values()) / len(found) for kind, found in speeds.items()}
    rows = _read_open(connection)
    queued = [_queued_job(row, mean) for row in rows if row.state == JobState.QUEUED]
    running = [row for row in rows if row.state != JobState.QUEUED]
    remaining_s = [_remaining_s(row, speeds, now) for row in running]
    owners = Counter(str(row.owner) for row in running)
    ordered = order_queue(queued, owners, _read_last_starts(connection))
    return QueueView(changes, find_places(ordered, remaining_s), time.monotonic())


def _read_open(connection: Connection) -> list[Any]:
    """Return what is needed of all jobs that wait or run, in one question to the database."""
    columns = (jobs.c.id, jobs.c.owner, jobs.c.state, jobs.c.priority, jobs.c.sequence)
    running = (jobs.c.worker, jobs.c.started, jobs.c.work_kind, jobs.c.work_amount)
    # The text of a queued job's progress says nothing, and to read it as JSON costs as much as all.
    is_running = jobs.c.state != JobState.QUEUED
    progress = case((is_running, jobs.c.progress)).label("progress")
    query = select(*columns, *running, progress)
    return list(connection.execute(query.where(jobs.c.state.in_(OPEN_STATES))))


def _queued_job(row: Any, mean: Mapping[str, float]) -> QueuedJob:
    return QueuedJob(
        id=str(row.id),
        owner=str(row.owner),
        priority=min(row.priority, MAX_PRIORITY) if isinstance(row.priority, int) else 0,
        sequence=row.sequence,
        duration_s=_duration_s(row, mean.get(str(row.work_kind))),
    )


def _read_last_starts(connection: Connection) -> dict[str, float]:
    """Return when the last job of each user in the queue started."""
    queued = select(jobs.c.owner).where(jobs.c.state == JobState.QUEUED).distinct().subquery()
    every = jobs.alias("every")
    last = select(func.max(every.c.started)).where(every.c.owner == queued.c.owner)
    rows = connection.execute(select(queued.c.owner, last.scalar_subquery().label("last")))
    return {str(row.owner): row.last for row in rows if isinstance(row.last, float | int)}


def _remaining_s(row: Any, speeds: Mapping[str, Mapping[str, float]], now: float) -> float | None:
    """Return the seconds that a running job still takes, by its own account or by its speed."""
    reported = row.progress.get("eta_s") if isinstance(row.progress, dict) else None
    if isinstance(reported, float | int):
        return float(reported)
    duration_s = _duration_s(row, speeds.get(str(row.work_kind), {}).get(str(row.worker)))
    if duration_s is None or not isinstance(row.started, float | int):
        return None
    return max(0.0, duration_s - (now - row.started))


def _duration_s(row: Any, seconds: float | None) -> float | None:
    amount = row.work_amount
    return amount * seconds if seconds and isinstance(amount, float | int) else None
