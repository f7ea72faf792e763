"""Rows of the job table as ``Job``, and the values of a new row."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Select, func, select

from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.request import (
    JobKind,
    JobSpec,
    job_kind,
    job_spec_from_json,
    job_spec_to_json,
)
from layert2v_server.domain.state import JobState
from layert2v_server.store.tables import jobs

_ahead = jobs.alias("ahead")
_QUEUE_POSITION = (
    select(func.count())
    .select_from(_ahead)
    .where(_ahead.c.state == JobState.QUEUED, _ahead.c.sequence < jobs.c.sequence)
    .correlate(jobs)
    .scalar_subquery()
    .label("ahead")
)
SELECT_JOB: Select[Any] = select(jobs, _QUEUE_POSITION)


def job_from_row(row: Any) -> Job:
    """Return the job in a row of ``SELECT_JOB``."""
    state = JobState(row.state)
    return Job(
        id=row.id,
        owner=row.owner,
        spec=job_spec_from_json(JobKind(row.kind), row.spec),
        source=row.source,
        state=state,
        revision=row.revision,
        attempt=row.attempt,
        queue_position=row.ahead if state is JobState.QUEUED else None,
        created=row.created,
        started=row.started,
        finished=row.finished,
        worker=row.worker,
        lease_until=row.lease_until,
        progress=Progress(**row.progress),
        preview_revision=row.preview_revision,
        failure=None if row.failure is None else Failure(**row.failure),
        artifact_count=row.artifact_count,
        artifact_bytes=row.artifact_bytes,
    )


def new_row(job_id: str, spec: JobSpec, source: str, created: float) -> dict[str, Any]:
    """Return the values of a new queued job, without its owner and request id."""
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
    }
