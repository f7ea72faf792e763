"""The job table: every change of a job is one durable transaction here.

All state changes go through the table of ``domain.state``. An attempt number fences its job: a
report from a worker of an earlier attempt is refused. A method that may change something returns
what changed, and a false value where nothing did. Blocking; the server calls it in threads.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select, update

from layert2v.spec import ModelInfo
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.request import JobRequest, JobSpec, request_digest
from layert2v_server.domain.state import TERMINAL_STATES, JobEvent, JobState, next_state
from layert2v_server.errors import (
    ArtifactNotFound,
    InvalidTransition,
    JobBusy,
    RequestIdReused,
    TooManyJobs,
)
from layert2v_server.store.database import read_transaction, write_transaction
from layert2v_server.store.files_table import (
    StoredArtifact,
    add_to_total,
    find_artifacts,
    insert_artifacts,
    read_artifacts,
    read_total,
    unshared_bytes,
)
from layert2v_server.store.job_counts import JobCount, count_jobs, running_workers
from layert2v_server.store.models_table import read_models, replace_models
from layert2v_server.store.rows import (
    SELECT_JOB,
    finished_row,
    get_job,
    is_damaged,
    job_from_row,
    new_row,
    settle_damaged,
)
from layert2v_server.store.tables import jobs


class JobStore:
    """Jobs, their artifacts and the known models.

    ``clock`` gives seconds since 1970. Leases are measured with ``lease_clock``, whose seconds
    count from anywhere and are never set: neither a clock that is corrected nor a machine that
    slept makes a worker lose its job.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_attempts: int = 3,
        max_open_jobs: int = 100,
        clock: Callable[[], float] = time.time,
        lease_clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._engine = engine
        self.max_attempts = max_attempts
        self.max_open_jobs = max_open_jobs
        self._clock = clock
        self._lease_clock = lease_clock
        self.new_id = new_id

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    # --- requests -----------------------------------------------------------------------------

    def find_by_request_id(self, owner: str, request_id: str, request: JobRequest) -> Job | None:
        """Return the job that ``owner`` created with this request id, if any.

        Raises ``RequestIdReused`` where that job came from a different request.
        """
        with read_transaction(self._engine) as connection:
            return self._get_by_request_id(connection, owner, request_id, request)

    def create(
        self,
        owner: str,
        request_id: str,
        request: JobRequest,
        spec: JobSpec,
        *,
        source: str = "",
        job_id: str = "",
    ) -> Job:
        """Add a job; the same request id again returns the first job in its present state.

        ``request`` is the request as it came, ``spec`` the same with every default filled in. The
        job gets ``job_id`` where its source was staged under that id.
        Raises ``RequestIdReused`` and ``TooManyJobs``.
        """
        with write_transaction(self._engine) as connection:
            known = self._get_by_request_id(connection, owner, request_id, request)
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
                    owner=owner,
                    request_id=request_id,
                    request_digest=request_digest(request),
                    **row,
                )
            )
            return get_job(connection, job_id)

    def get(self, job_id: str) -> Job:
        """Return the present snapshot. Raises ``JobNotFound``."""
        with read_transaction(self._engine) as connection:
            return get_job(connection, job_id)

    def list_page(
        self,
        owner: str | None,
        *,
        size: int,
        before: int | None = None,
        states: Collection[JobState] = (),
    ) -> list[tuple[int, Job]]:
        """Return up to ``size`` jobs of ``owner``, newest first, each with its ``before``.

        None stands for everybody.
        """
        query = SELECT_JOB.order_by(jobs.c.sequence.desc()).limit(size)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        if before is not None:
            query = query.where(jobs.c.sequence < before)
        if states:
            query = query.where(jobs.c.state.in_(states))
        with read_transaction(self._engine) as connection:
            rows = connection.execute(query).all()
        return [(row.sequence, job_from_row(row)) for row in rows]

    def cancel(self, job_id: str) -> Job:
        """Cancel the job, or ask its worker to. Raises ``JobNotFound``."""
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id)
            if job.is_terminal or job.state is JobState.CANCELLING:
                return job
            return self._transition(connection, job, JobEvent.CANCEL)

    def delete(self, job_id: str) -> Job:
        """Delete an ended job. Raises ``JobNotFound`` and ``JobBusy``."""
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id)
            if not job.is_terminal:
                raise JobBusy(job_id)
            add_to_total(connection, -unshared_bytes(connection, job))
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            return job

    def list_ids(self, states: Collection[JobState] = tuple(JobState)) -> set[str]:
        """Return the ids of all jobs in these states."""
        with read_transaction(self._engine) as connection:
            return set(
                connection.execute(select(jobs.c.id).where(jobs.c.state.in_(states))).scalars()
            )

    def count(self) -> tuple[list[JobCount], set[str]]:
        """Return how many jobs there are of each kind, and the workers that have one."""
        with read_transaction(self._engine) as connection:
            return count_jobs(connection), running_workers(connection)

    # --- work ---------------------------------------------------------------------------------

    def claim(self, worker: str, lease_s: float) -> Job | None:
        """Assign the job at the head of the queue to ``worker``; None where the queue is empty."""
        with write_transaction(self._engine) as connection:
            head = (
                SELECT_JOB.where(jobs.c.state == JobState.QUEUED).order_by(jobs.c.sequence).limit(1)
            )
            while True:
                row = connection.execute(head).first()
                if row is None:
                    return None
                job = job_from_row(row)
                if not is_damaged(job):
                    break
                settle_damaged(connection, job)
            return self._transition(
                connection,
                job,
                JobEvent.START,
                attempt=job.attempt + 1,
                worker=worker,
                lease_until=self._lease_clock() + lease_s,
                started=self._clock(),
                progress=asdict(Progress()),
            )

    def renew_lease(self, job_id: str, attempt: int, lease_s: float) -> None:
        """Extend the lease of an attempt to ``lease_s`` seconds from now."""
        with write_transaction(self._engine) as connection:
            self._get_leased(connection, job_id, attempt)
            lease_until = self._lease_clock() + lease_s
            connection.execute(
                update(jobs).where(jobs.c.id == job_id).values(lease_until=lease_until)
            )

    def record_progress(
        self, job_id: str, attempt: int, progress: Progress, *, new_preview: bool = False
    ) -> Job:
        """Record the progress of an attempt. Raises ``InvalidTransition`` where it lost the job."""
        with write_transaction(self._engine) as connection:
            job = self._get_leased(connection, job_id, attempt)
            revision = job.revision + 1
            values: dict[str, Any] = {"progress": asdict(progress), "revision": revision}
            if new_preview:
                values["preview_revision"] = revision
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            return get_job(connection, job_id)

    def mark_succeeded(
        self,
        job_id: str,
        attempt: int,
        files: Sequence[FileRecord],
        *,
        untrusted: Collection[str] = (),
        new_preview: bool = False,
    ) -> Job:
        """End the job with the published files of an attempt, in manifest order.

        ``untrusted`` are the SHA-256 of those that a caller brought and nobody checked.
        """
        with write_transaction(self._engine) as connection:
            job = self._get_leased(connection, job_id, attempt)
            insert_artifacts(connection, job, files, untrusted)
            progress = Progress(stage="write", done=len(files), total=len(files), fraction=1.0)
            values: dict[str, Any] = {
                "artifact_count": len(files),
                "artifact_bytes": sum(file.size_bytes for file in files),
                "progress": asdict(progress),
            }
            if new_preview:
                values["preview_revision"] = job.revision + 1
            return self._transition(connection, job, JobEvent.SUCCEED, **values)

    def register(
        self,
        owner: str,
        row: dict[str, Any],
        files: Sequence[FileRecord],
        untrusted: Collection[str],
    ) -> None:
        """Add the row of a finished job whose files are here already."""
        names = {"owner": owner, "request_id": row["id"], "request_digest": ""}
        with write_transaction(self._engine) as connection:
            connection.execute(insert(jobs).values(**finished_row(row, files), **names))
            insert_artifacts(connection, get_job(connection, row["id"]), files, untrusted)

    def mark_failed(self, job_id: str, attempt: int, failure: Failure) -> Job:
        """End the job with an error that another attempt would meet, too."""
        with write_transaction(self._engine) as connection:
            job = self._get_leased(connection, job_id, attempt)
            return self._transition(connection, job, JobEvent.FAIL, failure=asdict(failure))

    def mark_stopped(self, job_id: str, attempt: int) -> Job:
        """End a cancelled job whose worker has stopped."""
        with write_transaction(self._engine) as connection:
            return self._transition(
                connection, self._get_leased(connection, job_id, attempt), JobEvent.STOP
            )

    def requeue(self, job_id: str, attempt: int) -> Job:
        """Return the job to the queue without counting this attempt, as the server drains."""
        with write_transaction(self._engine) as connection:
            job = self._get_leased(connection, job_id, attempt)
            return self._transition(connection, job, JobEvent.REQUEUE, attempt=job.attempt - 1)

    def mark_lost(self, job_id: str, attempt: int, failure: Failure) -> Job:
        """Requeue the job of a lost worker; after the last attempt fail it with ``failure``."""
        with write_transaction(self._engine) as connection:
            return self._requeue_or_fail(
                connection, self._get_leased(connection, job_id, attempt), failure
            )

    def expire_all_leases(self) -> None:
        """End every lease now: the server that granted them is known to be gone."""
        with write_transaction(self._engine) as connection:
            connection.execute(update(jobs).values(lease_until=0.0))

    def requeue_expired(self, failure: Failure, max_lease_s: float = math.inf) -> list[Job]:
        """Treat the worker of every expired lease as lost, and return the jobs concerned.

        A lease that ends after ``max_lease_s`` from now was granted before the machine started.
        """
        until = jobs.c.lease_until
        running = jobs.c.state.in_((JobState.RUNNING, JobState.CANCELLING))
        with write_transaction(self._engine) as connection:
            now = self._lease_clock()  # not before: a lease may be granted while this one waits
            query = SELECT_JOB.where(running, or_(until <= now, until > now + max_lease_s))
            expired = [job_from_row(row) for row in connection.execute(query)]
            for job in filter(is_damaged, expired):
                settle_damaged(connection, job)
            whole = [job for job in expired if not is_damaged(job)]
            return [self._requeue_or_fail(connection, job, failure) for job in whole]

    # --- artifacts and models -------------------------------------------------------------------

    def get_artifact(self, job_id: str, position: int) -> FileRecord:
        """Return one file of a job. Raises ``ArtifactNotFound``."""
        with read_transaction(self._engine) as connection:
            found = read_artifacts(connection, job_id, start=position, size=1)
        if position not in found:
            raise ArtifactNotFound(f"{job_id}/{position}")
        return found[position]

    def list_artifacts(self, job_id: str, *, start: int, size: int) -> list[FileRecord]:
        """Return up to ``size`` files of a job from position ``start`` on."""
        with read_transaction(self._engine) as connection:
            return list(read_artifacts(connection, job_id, start=start, size=size).values())

    def find_by_hash(self, owner: str, hashes: Collection[str]) -> list[StoredArtifact]:
        """Return a file of ``owner`` for each of ``hashes`` that a job has.

        Of several jobs that share a file, one that does not take it for untrusted is named, and of
        those the newest.
        """
        with read_transaction(self._engine) as connection:
            return find_artifacts(connection, owner, hashes)

    def used_bytes(self) -> int:
        """Return the size of all published files; what several jobs of a user share counts once."""
        with read_transaction(self._engine) as connection:
            return read_total(connection)

    def list_models(self) -> tuple[ModelInfo, ...]:
        """Return the models that a worker reported last; empty before the first is ready."""
        with read_transaction(self._engine) as connection:
            return read_models(connection)

    def save_models(self, reported: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        """Replace the known models by those that a worker reported."""
        with write_transaction(self._engine) as connection:
            replace_models(connection, reported)
        return reported

    # --- inside a transaction -------------------------------------------------------------------

    def _get_by_request_id(
        self, connection: Connection, owner: str, request_id: str, request: JobRequest
    ) -> Job | None:
        query = SELECT_JOB.where(jobs.c.owner == owner, jobs.c.request_id == request_id)
        row = connection.execute(query).first()
        if row is not None and row.request_digest != request_digest(request):
            raise RequestIdReused
        return None if row is None else job_from_row(row)

    def _get_leased(self, connection: Connection, job_id: str, attempt: int) -> Job:
        job = get_job(connection, job_id)
        if job.is_terminal or job.state is JobState.QUEUED or job.attempt != attempt:
            raise InvalidTransition(f"Attempt {attempt} does not hold the job any more.")
        return job

    def _requeue_or_fail(self, connection: Connection, job: Job, failure: Failure) -> Job:
        if job.state is JobState.RUNNING and job.attempt >= self.max_attempts:
            return self._transition(connection, job, JobEvent.FAIL, failure=asdict(failure))
        return self._transition(connection, job, JobEvent.REQUEUE)

    def _transition(self, connection: Connection, job: Job, event: JobEvent, **values: Any) -> Job:
        state = next_state(job.state, event)
        if state in TERMINAL_STATES:
            # A clock that was set back must not end a job before it began.
            values["finished"] = max(self._clock(), job.started or job.created)
        elif state is JobState.QUEUED:
            values["progress"] = asdict(Progress())
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job.id)
            .values(state=state, revision=job.revision + 1, **values)
        )
        if JobState.QUEUED in (job.state, state):
            self._bump_queued_revisions(connection)
        return get_job(connection, job.id)

    def _bump_queued_revisions(self, connection: Connection) -> None:
        # Every queued job has a new position, and a watcher only sees new revisions.
        connection.execute(
            update(jobs).where(jobs.c.state == JobState.QUEUED).values(revision=jobs.c.revision + 1)
        )
