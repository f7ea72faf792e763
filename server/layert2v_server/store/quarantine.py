"""Jobs whose workers died: after some deaths a job is in quarantine until an operator releases it.

A death is counted by the server that saw it, whether or not the lease of the job has ended before.
An attempt is one worker's, so none is counted twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Engine, select, update

from layert2v_server.domain.job import Failure, Job
from layert2v_server.domain.state import JobEvent, JobState
from layert2v_server.errors import NotQuarantined
from layert2v_server.store.catalog import Catalog
from layert2v_server.store.database import read_transaction, write_transaction
from layert2v_server.store.rows import SELECT_JOB, get_job, job_from_row
from layert2v_server.store.tables import jobs
from layert2v_server.store.transitions import apply_event, requeue_or_fail

IS_QUARANTINED = (jobs.c.state == JobState.FAILED) & (jobs.c.quarantined == 1)


class Quarantine(Catalog):
    """The deaths of workers, by job. ``clock`` gives seconds since 1970."""

    def __init__(
        self,
        engine: Engine,
        *,
        max_attempts: int = 3,
        max_worker_deaths: int = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(engine)
        self.max_attempts = max_attempts
        self.max_worker_deaths = max_worker_deaths
        self._clock = clock

    def record_death(
        self, job_id: str, attempt: int, failure: Failure, quarantined: Failure
    ) -> Job:
        """Count the death of the worker of an attempt, and return the job.

        It goes back to the queue, or fails: with ``quarantined`` after the last death that is
        allowed, with ``failure`` after the last attempt. Where another attempt runs already, that
        goes on. Raises ``JobNotFound``.
        """
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id, for_update=True)
            if job.is_terminal:
                return job
            now, deaths = self._clock(), job.deaths + 1
            is_waiting = job.state is JobState.QUEUED
            is_held = not is_waiting and job.attempt == attempt
            if (
                deaths >= self.max_worker_deaths
                and job.state is not JobState.CANCELLING
                and (is_held or is_waiting)
            ):
                values = {"deaths": deaths, "quarantined": 1, "failure": asdict(quarantined)}
                return apply_event(connection, job, JobEvent.FAIL, now, **values)
            if is_held:
                limit = self.max_attempts
                return requeue_or_fail(connection, job, failure, limit, now, deaths=deaths)
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(deaths=deaths))
            return get_job(connection, job_id)

    def list_quarantined(self) -> list[Job]:
        """Return the jobs in quarantine, oldest first."""
        query = SELECT_JOB.where(IS_QUARANTINED).order_by(jobs.c.sequence)
        with read_transaction(self._engine) as connection:
            return [job_from_row(row) for row in connection.execute(query)]

    def quarantined_ids(self) -> set[str]:
        """Return the ids of the jobs in quarantine."""
        with read_transaction(self._engine) as connection:
            return set(connection.execute(select(jobs.c.id).where(IS_QUARANTINED)).scalars())

    def release(self, job_id: str) -> Job:
        """Put a job from quarantine back into the queue, with as many attempts as a new one.

        Raises ``JobNotFound`` and ``NotQuarantined``.
        """
        with write_transaction(self._engine) as connection:
            job = get_job(connection, job_id, for_update=True)
            if not (job.is_quarantined and job.state is JobState.FAILED):
                raise NotQuarantined(job_id)
            return apply_event(
                connection,
                job,
                JobEvent.RELEASE,
                self._clock(),
                failure=None,
                finished=None,
                deaths=0,
                quarantined=0,
                attempt_base=job.attempt,
            )
