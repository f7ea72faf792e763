"""The job table: every change of a job is one durable transaction here.

All state changes go through the table of ``domain.state``. An attempt number fences its job: what a
worker of an earlier attempt still has to say is refused. A method that may change something returns
what changed, and something false where nothing did. Blocking; the server calls it in threads.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from layert2v.spec import ModelInfo, model_from_json, model_to_json
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.request import Spec, Wish, digest
from layert2v_server.domain.state import TERMINAL_STATES, JobEvent, JobState, next_state
from layert2v_server.errors import (
    ArtifactNotFound,
    InvalidTransition,
    JobBusy,
    JobNotFound,
    RequestReused,
    TooManyJobs,
)
from layert2v_server.store.database import reading, writing
from layert2v_server.store.rows import JOB, job_of, new_row
from layert2v_server.store.tables import artifacts, jobs, models

_HASHES_AT_ONCE = 500  # SQLite takes some thousand parameters


class JobStore:
    """Jobs, their artifacts and the known models; `clock` gives seconds since 1970."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_attempts: int = 3,
        max_open_jobs: int = 100,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._engine = engine
        self.max_attempts = max_attempts
        self.max_open_jobs = max_open_jobs
        self._clock = clock
        self.new_id = new_id

    # --- requests -----------------------------------------------------------------------------

    def find_request(self, owner: str, request_id: str, asked: Wish) -> Job | None:
        """The job that `owner` made with this request id, if any.

        Raises `RequestReused` where that job was asked for with other words.
        """
        with reading(self._engine) as connection:
            return self._request(connection, owner, request_id, asked)

    def create(
        self,
        owner: str,
        request_id: str,
        asked: Wish,
        spec: Spec,
        *,
        source: str = "",
        job_id: str = "",
    ) -> Job:
        """Add a job; the same request id again returns the first job in its present state.

        `asked` is the request as it came, `spec` the same with every default filled in. The job
        gets `job_id` where something was laid ready under it.
        Raises `RequestReused` and `TooManyJobs`.
        """
        with writing(self._engine) as connection:
            known = self._request(connection, owner, request_id, asked)
            if known is not None:
                return known
            open_jobs = select(func.count()).where(
                jobs.c.owner == owner, jobs.c.state.not_in(TERMINAL_STATES)
            )
            if connection.execute(open_jobs).scalar_one() >= self.max_open_jobs:
                raise TooManyJobs(self.max_open_jobs)
            job_id = job_id or self.new_id()
            row = new_row(job_id, spec, source, self._clock())
            connection.execute(
                insert(jobs).values(
                    owner=owner, request_id=request_id, request_digest=digest(asked), **row
                )
            )
            return _get(connection, job_id)

    def get(self, job_id: str) -> Job:
        """The present snapshot. Raises `JobNotFound`."""
        with reading(self._engine) as connection:
            return _get(connection, job_id)

    def page(
        self,
        owner: str,
        *,
        size: int,
        before: int | None = None,
        states: Collection[JobState] = (),
    ) -> tuple[list[Job], int | None]:
        """Up to `size` jobs of `owner`, newest first, and the `before` of the next page, if any."""
        query = JOB.where(jobs.c.owner == owner).order_by(jobs.c.sequence.desc()).limit(size + 1)
        if before is not None:
            query = query.where(jobs.c.sequence < before)
        if states:
            query = query.where(jobs.c.state.in_(states))
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        following = rows[size - 1].sequence if len(rows) > size else None
        return [job_of(row) for row in rows[:size]], following

    def cancel(self, job_id: str) -> Job:
        """Ask for the job to stop. Raises `JobNotFound`."""
        with writing(self._engine) as connection:
            job = _get(connection, job_id)
            if job.is_terminal or job.state is JobState.CANCELLING:
                return job
            return self._move(connection, job, JobEvent.CANCEL)

    def delete(self, job_id: str) -> Job:
        """Forget an ended job. Raises `JobNotFound` and `JobBusy`."""
        with writing(self._engine) as connection:
            job = _get(connection, job_id)
            if not job.is_terminal:
                raise JobBusy(job_id)
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            return job

    def ids(self, states: Collection[JobState] = tuple(JobState)) -> set[str]:
        """The ids of all jobs in these states."""
        with reading(self._engine) as connection:
            return set(
                connection.execute(select(jobs.c.id).where(jobs.c.state.in_(states))).scalars()
            )

    # --- work ---------------------------------------------------------------------------------

    def claim(self, worker: str, lease_s: float) -> Job | None:
        """Give the job at the head of the queue to `worker`; None where the queue is empty."""
        with writing(self._engine) as connection:
            head = JOB.where(jobs.c.state == JobState.QUEUED).order_by(jobs.c.sequence).limit(1)
            row = connection.execute(head).first()
            if row is None:
                return None
            job = job_of(row)
            return self._move(
                connection,
                job,
                JobEvent.START,
                attempt=job.attempt + 1,
                worker=worker,
                lease_until=self._clock() + lease_s,
                started=self._clock(),
                progress=asdict(Progress()),
            )

    def renew(self, job_id: str, attempt: int, lease_s: float) -> None:
        """The worker of this attempt is alive: its lease runs for another `lease_s` seconds."""
        with writing(self._engine) as connection:
            self._held(connection, job_id, attempt)
            lease_until = self._clock() + lease_s
            connection.execute(
                update(jobs).where(jobs.c.id == job_id).values(lease_until=lease_until)
            )

    def progress(
        self, job_id: str, attempt: int, progress: Progress, *, new_preview: bool = False
    ) -> Job:
        """Record how far an attempt is. Raises `InvalidTransition` where it lost the job."""
        with writing(self._engine) as connection:
            job = self._held(connection, job_id, attempt)
            revision = job.revision + 1
            values: dict[str, Any] = {"progress": asdict(progress), "revision": revision}
            if new_preview:
                values["preview_revision"] = revision
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            return _get(connection, job_id)

    def succeed(
        self, job_id: str, attempt: int, files: Sequence[FileRecord], *, new_preview: bool = False
    ) -> Job:
        """The attempt is done and its files are in place, named in manifest order."""
        with writing(self._engine) as connection:
            job = self._held(connection, job_id, attempt)
            connection.execute(
                insert(artifacts),
                [
                    {"job_id": job_id, "position": position, **asdict(file)}
                    for position, file in enumerate(files)
                ],
            )
            progress = Progress(stage="write", done=len(files), total=len(files), fraction=1.0)
            values: dict[str, Any] = {
                "artifact_count": len(files),
                "artifact_bytes": sum(file.size_bytes for file in files),
                "progress": asdict(progress),
            }
            if new_preview:
                values["preview_revision"] = job.revision + 1
            return self._move(connection, job, JobEvent.SUCCEED, **values)

    def fail(self, job_id: str, attempt: int, failure: Failure) -> Job:
        """The attempt cannot be done, and neither could another one."""
        with writing(self._engine) as connection:
            job = self._held(connection, job_id, attempt)
            return self._move(connection, job, JobEvent.FAIL, failure=asdict(failure))

    def stopped(self, job_id: str, attempt: int) -> Job:
        """The worker stopped because somebody had asked for it."""
        with writing(self._engine) as connection:
            return self._move(connection, self._held(connection, job_id, attempt), JobEvent.STOP)

    def give_back(self, job_id: str, attempt: int) -> Job:
        """The server drains: the job returns to the queue as if this attempt had never begun."""
        with writing(self._engine) as connection:
            job = self._held(connection, job_id, attempt)
            return self._move(connection, job, JobEvent.REQUEUE, attempt=job.attempt - 1)

    def lost(self, job_id: str, attempt: int, failure: Failure) -> Job:
        """The worker is gone: run the job again; after the last attempt fail it with `failure`."""
        with writing(self._engine) as connection:
            return self._lost(connection, self._held(connection, job_id, attempt), failure)

    def void_leases(self) -> None:
        """Let every lease end now: the server that gave them is known to be gone."""
        with writing(self._engine) as connection:
            connection.execute(update(jobs).values(lease_until=0.0))

    def expire(self, failure: Failure) -> list[Job]:
        """Treat the worker of every lease that ran out as lost; returns the jobs this concerned."""
        running = jobs.c.state.in_((JobState.RUNNING, JobState.CANCELLING))
        query = JOB.where(running, jobs.c.lease_until <= self._clock())
        with writing(self._engine) as connection:
            expired = [job_of(row) for row in connection.execute(query)]
            return [self._lost(connection, job, failure) for job in expired]

    # --- artifacts and models -------------------------------------------------------------------

    def artifact(self, job_id: str, position: int) -> FileRecord:
        """One file of a job. Raises `ArtifactNotFound`."""
        query = select(artifacts).where(
            artifacts.c.job_id == job_id, artifacts.c.position == position
        )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        if row is None:
            raise ArtifactNotFound(f"{job_id}/{position}")
        return FileRecord(path=row.path, size_bytes=row.size_bytes, sha256=row.sha256)

    def artifacts(self, job_id: str, *, start: int, size: int) -> list[FileRecord]:
        """Up to `size` files of a job from position `start` on."""
        query = (
            select(artifacts)
            .where(artifacts.c.job_id == job_id, artifacts.c.position >= start)
            .order_by(artifacts.c.position)
            .limit(size)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [FileRecord(path=r.path, size_bytes=r.size_bytes, sha256=r.sha256) for r in rows]

    def holders(self, owner: str, hashes: Collection[str]) -> list[tuple[str, str, str]]:
        """SHA-256, job id and path of a file of `owner` for each of `hashes` that is there; of many
        jobs that share it, the newest."""
        wanted = list(hashes)
        query = (
            # SQLite takes the other columns from the row with the maximum.
            select(
                artifacts.c.sha256, artifacts.c.job_id, artifacts.c.path, func.max(jobs.c.sequence)
            )
            .join(jobs, jobs.c.id == artifacts.c.job_id)
            .group_by(artifacts.c.sha256)
        )
        found: list[tuple[str, str, str]] = []
        with reading(self._engine) as connection:
            for start in range(0, len(wanted), _HASHES_AT_ONCE):
                some = wanted[start : start + _HASHES_AT_ONCE]
                rows = connection.execute(
                    query.where(jobs.c.owner == owner, artifacts.c.sha256.in_(some))
                )
                found += [(row.sha256, row.job_id, row.path) for row in rows]
        return found

    def used_bytes(self) -> int:
        """The size of all published files; what several jobs of a user share counts once."""
        each = (
            select(jobs.c.owner, artifacts.c.sha256, artifacts.c.size_bytes)
            .join(jobs, jobs.c.id == artifacts.c.job_id)
            .distinct()
            .subquery()
        )
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.sum(each.c.size_bytes))).scalar() or 0)

    def models(self) -> tuple[ModelInfo, ...]:
        """What this server's workers told last; empty before the first one was up."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(models.c.info).order_by(models.c.position))
            return tuple(model_from_json(info) for info in rows.scalars())

    def remember_models(self, known: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        """Keep what a worker told in place of what was known before."""
        rows = [
            {"position": position, "info": model_to_json(model)}
            for position, model in enumerate(known)
        ]
        with writing(self._engine) as connection:
            connection.execute(delete(models))
            if rows:
                connection.execute(insert(models), rows)
        return known

    # --- inside a transaction -------------------------------------------------------------------

    def _request(
        self, connection: Connection, owner: str, request_id: str, asked: Wish
    ) -> Job | None:
        query = JOB.where(jobs.c.owner == owner, jobs.c.request_id == request_id)
        row = connection.execute(query).first()
        if row is not None and row.request_digest != digest(asked):
            raise RequestReused
        return None if row is None else job_of(row)

    def _held(self, connection: Connection, job_id: str, attempt: int) -> Job:
        job = _get(connection, job_id)
        if job.is_terminal or job.state is JobState.QUEUED or job.attempt != attempt:
            raise InvalidTransition(f"Attempt {attempt} does not hold the job any more.")
        return job

    def _lost(self, connection: Connection, job: Job, failure: Failure) -> Job:
        if job.state is JobState.RUNNING and job.attempt >= self.max_attempts:
            return self._move(connection, job, JobEvent.FAIL, failure=asdict(failure))
        return self._move(connection, job, JobEvent.REQUEUE)

    def _move(self, connection: Connection, job: Job, event: JobEvent, **values: Any) -> Job:
        state = next_state(job.state, event)
        if state in TERMINAL_STATES:
            values["finished"] = self._clock()
        elif state is JobState.QUEUED:
            values["progress"] = asdict(Progress())
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job.id)
            .values(state=state, revision=job.revision + 1, **values)
        )
        if JobState.QUEUED in (job.state, state):
            self._tell_queue(connection)
        return _get(connection, job.id)

    def _tell_queue(self, connection: Connection) -> None:
        # Everybody who waits has another place now, and a watcher only hears of new revisions.
        connection.execute(
            update(jobs).where(jobs.c.state == JobState.QUEUED).values(revision=jobs.c.revision + 1)
        )


def _get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(JOB.where(jobs.c.id == job_id)).first()
    if row is None:
        raise JobNotFound(f"jobs/{job_id}")
    return job_of(row)
