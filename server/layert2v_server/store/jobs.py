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
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, or_, select, update

from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import JobRequest, JobSpec, request_digest
from layert2v_server.domain.state import JobEvent, JobState
from layert2v_server.domain.work import work_of
from layert2v_server.errors import (
    InvalidTransition,
    JobBusy,
    RequestIdReused,
    TooManyJobs,
)
from layert2v_server.store.database import (
    announce,
    lease_time,
    lock_user,
    longest_lease,
    read_transaction,
    write_transaction,
)
from layert2v_server.store.files_table import (
    add_to_total,
    insert_artifacts,
    lock_total,
    unshared_bytes,
)
from layert2v_server.store.job_counts import count_open
from layert2v_server.store.quarantine import IS_QUARANTINED, Quarantine
from layert2v_server.store.queue_view import EMPTY_QUEUE, read_queue
from layert2v_server.store.rows import (
    SELECT_JOB,
    finished_row,
    get_job,
    is_damaged,
    job_from_row,
    new_row,
    settle_damaged,
)
from layert2v_server.store.speeds import record_speed
from layert2v_server.store.tables import jobs
from layert2v_server.store.transitions import (
    apply_event,
    count_queue_change,
    requeue_or_fail,
)


class JobStore(Quarantine):
    """Jobs, their artifacts and the known models.

    ``clock`` gives seconds since 1970. Leases are measured with the clock of ``lease_time``, which
    ``lease_clock`` replaces: no clock of a server that is corrected makes a worker lose its job.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_attempts: int = 3,
        max_worker_deaths: int = 2,
        max_open_jobs: int = 100,
        clock: Callable[[], float] = time.time,
        lease_clock: Callable[[], float] | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        super().__init__(
            engine, max_attempts=max_attempts, max_worker_deaths=max_worker_deaths, clock=clock
        )
        self.max_open_jobs = max_open_jobs
        self._lease_clock = lease_clock
        self.new_id = new_id
        self._queue = EMPTY_QUEUE

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    # --- requests -----------------------------------------------------------------------------

    def find_by_request_id(self, owner: str, request_id: str, request: JobRequest) -> Job | None:
        """Return the job that ``owner`` created with this request id, if any.

        Raises ``RequestIdReused`` where that job came from a different request.
        """
        with read_transaction(self._engine) as connection:
            job = self._get_by_request_id(connection, owner, request_id, request)
            return None if job is None else self._add_places(connection, [job])[0]

    def create(
        self,
        owner: str,
        request_id: str,
        request: JobRequest,
        spec: JobSpec,
        *,
        source: str = "",
        job_id: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> Job:
        """Add a job; the same request id again returns the first job in its present state.

        ``request`` is the request as it came, ``spec`` the same with every default filled in. The
        job gets ``job_id`` where its source was staged under that id.
        Raises ``RequestIdReused`` and ``TooManyJobs``.
        """
        with write_transaction(self._engine) as connection:
            lock_user(connection, owner)
            known = self._get_by_request_id(connection, owner, request_id, request)
            if known is None:
                job_id = job_id or self.new_id()
                row = new_row(job_id, spec, source, self._clock(), priority)
                self._insert(connection, owner, request_id, request, row)
        return self.get(job_id if known is None else known.id)

    def get(self, job_id: str) -> Job:
        """Return the present snapshot. Raises ``JobNotFound``."""
        with read_transaction(self._engine) as connection:
            return self._add_places(connection, [get_job(connection, job_id)])[0]

    def list_page(
        self,
        owner: str | None,
        *,
        size: int,
        before: int | None = None,
        states: Collection[JobState] = (),
        quarantined_only: bool = False,
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
        if quarantined_only:
            query = query.where(IS_QUARANTINED)
        with read_transaction(self._engine) as connection:
            rows = connection.execute(query).all()
            changes = rows[0].queue_changes if rows else None
            found = self._add_places(connection, [job_from_row(row) for row in rows], changes)
        return [(row.sequence, job) for row, job in zip(rows, found, strict=True)]

    def cancel(self, job_id: str) -> Job:
        """Cancel the job, or ask its worker to. Raises ``JobNotFound``."""
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id, for_update=True)
            if job.is_terminal or job.state is JobState.CANCELLING:
                return job
            return self._transition(connection, job, JobEvent.CANCEL)

    def delete(self, job_id: str) -> Job:
        """Delete an ended job. Raises ``JobNotFound`` and ``JobBusy``."""
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id, for_update=True)
            if not job.is_terminal:
                raise JobBusy(job_id)
            lock_total(connection)
            add_to_total(connection, -unshared_bytes(connection, job))
            connection.execute(delete(jobs).where(jobs.c.id == job_id))
            return job

    def list_ids(self, states: Collection[JobState] = tuple(JobState)) -> set[str]:
        """Return the ids of all jobs in these states."""
        with read_transaction(self._engine) as connection:
            return set(
                connection.execute(select(jobs.c.id).where(jobs.c.state.in_(states))).scalars()
            )

    # --- work ---------------------------------------------------------------------------------

    def claim(self, worker: str, lease_s: float) -> Job | None:
        """Assign the job at the head of the queue to ``worker``; None where the queue is empty."""
        with write_transaction(self._engine) as connection:
            job = self._lock_first(connection)
            if job is None:
                return None
            return self._transition(
                connection,
                job,
                JobEvent.START,
                attempt=job.attempt + 1,
                worker=worker,
                lease_until=self._lease_time(connection) + lease_s,
                started=self._clock(),
                progress=asdict(Progress()),
            )

    def renew_lease(self, job_id: str, attempt: int, lease_s: float) -> None:
        """Extend the lease of an attempt to ``lease_s`` seconds from now."""
        with write_transaction(self._engine) as connection:
            self._get_leased(connection, job_id, attempt)
            until = self._lease_time(connection) + lease_s
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(lease_until=until))

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
            announce(connection, job_id)
            return get_job(connection, job_id)

    def mark_succeeded(
        self,
        job_id: str,
        attempt: int,
        files: Sequence[FileRecord],
        *,
        untrusted: Collection[str] = (),
        new_preview: bool = False,
        publish: Callable[[Connection], None] = lambda _: None,
    ) -> Job:
        """End the job with the files of an attempt, in manifest order.

        ``untrusted`` are the SHA-256 of those that a caller brought and nobody checked. ``publish``
        puts the files in their place, in this transaction: nobody else can take the job meanwhile.
        """
        with write_transaction(self._engine) as connection:
            job = self._get_leased(connection, job_id, attempt)
            publish(connection)
            insert_artifacts(connection, job, files, untrusted)
            self._measure(connection, job)
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
            job = self._get_leased(connection, job_id, attempt)
            return requeue_or_fail(connection, job, failure, self.max_attempts, self._clock())

    def expire_all_leases(self) -> None:
        """End every lease now: the server that granted them is known to be gone."""
        with write_transaction(self._engine) as connection:
            connection.execute(update(jobs).values(lease_until=0.0))

    def requeue_expired(self, failure: Failure, max_lease_s: float = math.inf) -> list[Job]:
        """Treat the worker of every expired lease as lost, and return the jobs concerned.

        A lease that ends after ``max_lease_s`` from now was granted before the machine started; see
        ``longest_lease``.
        """
        until = jobs.c.lease_until
        running = jobs.c.state.in_((JobState.RUNNING, JobState.CANCELLING))
        with write_transaction(self._engine) as connection:
            longest_s = longest_lease(connection, max_lease_s)
            # Not before: a lease may be granted while this one waits.
            now = self._lease_time(connection)
            query = SELECT_JOB.where(running, or_(until <= now, until > now + longest_s))
            locked = query.with_for_update(of=jobs, skip_locked=True)
            expired = [job_from_row(row) for row in connection.execute(locked)]
            for job in filter(is_damaged, expired):
                settle_damaged(connection, job)
            whole = [job for job in expired if not is_damaged(job)]
            limit, moment = self.max_attempts, self._clock()
            return [requeue_or_fail(connection, job, failure, limit, moment) for job in whole]

    # --- inside a transaction -------------------------------------------------------------------

    def _insert(
        self,
        connection: Connection,
        owner: str,
        request_id: str,
        request: JobRequest,
        row: dict[str, Any],
    ) -> None:
        present = count_open(connection, owner).total
        if present >= self.max_open_jobs:
            raise TooManyJobs(present, self.max_open_jobs)
        whose = {"owner": owner, "request_id": request_id}
        base = count_queue_change(connection)
        digest = request_digest(request)
        connection.execute(
            insert(jobs).values(**whose, request_digest=digest, queue_base=base, **row)
        )

    def _lock_first(self, connection: Connection) -> Job | None:
        """Lock the first job of the queue that no other server is about to take or to cancel."""
        for job_id in read_queue(connection, self._queue, self._clock()).places:
            is_first = (jobs.c.id == job_id) & (jobs.c.state == JobState.QUEUED)
            query = SELECT_JOB.where(is_first).with_for_update(of=jobs, skip_locked=True)
            row = connection.execute(query).first()
            if row is None:
                continue
            job = job_from_row(row)
            if not is_damaged(job):
                return job
            settle_damaged(connection, job)
        return None

    def _add_places(
        self, connection: Connection, found: Sequence[Job], changes: int | None = None
    ) -> list[Job]:
        """Return jobs with their places in the queue, as a read transaction sees it."""
        if any(job.state is JobState.QUEUED for job in found):
            self._queue = read_queue(connection, self._queue, self._clock(), changes)
        places = [self._queue.place(job.id) for job in found]
        return [
            replace(job, queue_position=place.position, start_eta_s=place.start_s)
            if place is not None and job.state is JobState.QUEUED
            else job
            for job, place in zip(found, places, strict=True)
        ]

    def _measure(self, connection: Connection, job: Job) -> None:
        """Note how fast the worker of a job was that is about to succeed."""
        work = work_of(job.spec)
        if job.started is not None:
            seconds = max(0.0, self._clock() - job.started) / work.amount
            record_speed(connection, work.kind, job.worker, seconds)

    def _get_by_request_id(
        self, connection: Connection, owner: str, request_id: str, request: JobRequest
    ) -> Job | None:
        query = SELECT_JOB.where(jobs.c.owner == owner, jobs.c.request_id == request_id)
        row = connection.execute(query).first()
        if row is not None and row.request_digest != request_digest(request):
            raise RequestIdReused
        return None if row is None else job_from_row(row)

    def _get_leased(self, connection: Connection, job_id: str, attempt: int) -> Job:
        job = get_job(connection, job_id, for_update=True)
        if job.is_terminal or job.state is JobState.QUEUED or job.attempt != attempt:
            raise InvalidTransition(f"Attempt {attempt} does not hold the job any more.")
        return job

    def _transition(self, connection: Connection, job: Job, event: JobEvent, **values: Any) -> Job:
        return apply_event(connection, job, event, self._clock(), **values)

    def _lease_time(self, connection: Connection) -> float:
        return lease_time(connection) if self._lease_clock is None else self._lease_clock()
