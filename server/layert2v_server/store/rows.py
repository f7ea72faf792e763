"""Rows of the job table as ``Job``, and the values of a new row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Select, select, update

from layert2v.errors import ContractError
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import (
    JobKind,
    JobSpec,
    job_kind,
    job_spec_from_json,
    job_spec_to_json,
)
from layert2v_server.domain.state import JobState
from layert2v_server.domain.work import work_of
from layert2v_server.errors import JobNotFound
from layert2v_server.store.tables import QUEUE_CHANGES, jobs, totals

MAX_TIME = 253_402_300_800.0  # the year 10000: a message holds no later one

_QUEUE_CHANGES = (
    select(totals.c.value)
    .where(totals.c.name == QUEUE_CHANGES)
    .scalar_subquery()
    .label(QUEUE_CHANGES)
)
SELECT_JOB: Select[Any] = select(jobs, _QUEUE_CHANGES)


DAMAGED_FAILURE = Failure(
    reason="JOB_DAMAGED",
    message="What the server has stored about this job is damaged.",
    hint="Delete it and submit it again.",
)


def get_job(connection: Connection, job_id: str, *, for_update: bool = False) -> Job:
    """Return a job as it is in this transaction. Raises ``JobNotFound``.

    ``for_update`` locks its row to the end of the transaction, where the database has such locks.
    """
    query = SELECT_JOB.where(jobs.c.id == job_id)
    row = None
    if "\0" not in job_id:  # PostgreSQL takes none
        row = connection.execute(query.with_for_update(of=jobs) if for_update else query).first()
    if row is None:
        raise JobNotFound(f"jobs/{job_id}")
    return job_from_row(row)


def settle_damaged(connection: Connection, job: Job) -> None:
    """End the job of a row that cannot be read, so that it is not met again."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job.id)
        .values(state=JobState.FAILED, failure=asdict(DAMAGED_FAILURE))
    )


def job_from_row(row: Any) -> Job:
    """Return the job in a row of ``SELECT_JOB``, without its place in the queue.

    One that cannot be read is a failed job.
    """
    try:
        return _read_job(row)
    except (ContractError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _damaged_job(row)


def is_damaged(job: Job) -> bool:
    """Tell if the job stands for a row that cannot be read."""
    return job.failure is DAMAGED_FAILURE


def _damaged_job(row: Any) -> Job:
    return Job(
        id=str(row.id),
        owner=str(row.owner),
        spec=GenerateSpec(prompt="", seed=0),
        state=JobState.FAILED,
        revision=_number(row.revision),
        attempt=_number(row.attempt),
        queue_position=None,
        created=0.0,
        started=None,
        finished=None,
        worker="",
        lease_until=0.0,
        progress=Progress(),
        preview_revision=0,
        failure=DAMAGED_FAILURE,
        artifact_count=0,
        artifact_bytes=0,
    )


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**31 else 0


def _read_job(row: Any) -> Job:
    state = JobState(row.state)
    is_queued = state is JobState.QUEUED
    counts = (row.artifact_count, row.artifact_bytes)
    deaths = (row.deaths, row.attempt_base)
    numbers = (row.revision, row.attempt, row.preview_revision, row.queue_base, *counts, *deaths)
    times = (row.created, row.started or 0.0, row.finished or 0.0, row.lease_until)
    if not all(isinstance(value, int) and 0 <= value < 2**63 for value in numbers):
        raise ValueError("a number that is none")
    if not all(isinstance(value, float | int) and 0 <= value < MAX_TIME for value in times):
        raise ValueError("a time that is none")
    progress = Progress(**row.progress)
    if not isinstance(progress.stage, str) or not isinstance(progress.done, int):
        raise TypeError("progress of another kind")
    return Job(
        id=row.id,
        owner=row.owner,
        spec=job_spec_from_json(JobKind(row.kind), row.spec),
        source=row.source,
        state=state,
        revision=row.revision + (row.queue_changes - row.queue_base) * is_queued,
        attempt=row.attempt,
        queue_position=None,
        created=row.created,
        started=row.started,
        finished=row.finished,
        worker=row.worker,
        lease_until=row.lease_until,
        progress=progress,
        preview_revision=row.preview_revision,
        failure=None if row.failure is None else Failure(**row.failure),
        artifact_count=row.artifact_count,
        artifact_bytes=row.artifact_bytes,
        request_id=row.request_id,
        priority=Priority(row.priority),
        attempt_base=row.attempt_base,
        deaths=row.deaths,
        is_quarantined=bool(row.quarantined),
    )


def new_row(
    job_id: str,
    spec: JobSpec,
    source: str,
    created: float,
    priority: Priority = Priority.NORMAL,
) -> dict[str, Any]:
    """Return the values of a new queued job, without its owner and request id."""
    work = work_of(spec)
    return {
        "id": job_id,
        "kind": job_kind(spec),
        "spec": job_spec_to_json(spec),
        "source": source,
        "state": JobState.QUEUED,
        "revision": 1,
        "attempt": 0,
        "created": created,
        "worker": "",
        "lease_until": 0.0,
        "progress": asdict(Progress()),
        "preview_revision": 0,
        "artifact_count": 0,
        "artifact_bytes": 0,
        "priority": priority,
        "work_kind": work.kind,
        "work_amount": work.amount,
    }


def finished_row(row: dict[str, Any], files: Sequence[FileRecord]) -> dict[str, Any]:
    """Return the values of ``new_row`` as of a job that has made these files."""
    return {
        **row,
        "state": JobState.SUCCEEDED,
        "finished": row["created"],
        "artifact_count": len(files),
        "artifact_bytes": sum(file.size_bytes for file in files),
    }
