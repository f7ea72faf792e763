"""How many jobs there are of which kind and state, for those who watch a server."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from layert2v_server.domain.state import JobState
from layert2v_server.store.tables import jobs


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCount:
    """Number of jobs of one state, kind and user; ``oldest`` is when the first was made."""

    state: str
    kind: str
    owner: str
    count: int
    oldest: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenJobs:
    """How many jobs of a user wait, and how many are with a worker."""

    queued: int
    running: int

    @property
    def total(self) -> int:
        """The number of both."""
        return self.queued + self.running


def count_open(connection: Connection, owner: str) -> OpenJobs:
    """Return how many jobs of a user have not ended."""
    query = select(jobs.c.state, func.count()).where(
        jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING)),
        jobs.c.owner == owner,
    )
    counts = {str(row[0]): int(row[1]) for row in connection.execute(query.group_by(jobs.c.state))}
    queued = counts.pop(JobState.QUEUED, 0)
    return OpenJobs(queued=queued, running=sum(counts.values()))


def count_jobs(connection: Connection) -> list[JobCount]:
    """Return the counts of all jobs; what is damaged in a row does not matter here."""
    groups = (jobs.c.state, jobs.c.kind, jobs.c.owner)
    query = select(*groups, func.count(), func.min(jobs.c.created)).group_by(*groups)
    return [
        JobCount(state=state, kind=kind, owner=owner, count=count, oldest=oldest)
        for state, kind, owner, count, oldest in connection.execute(query)
    ]


def count_quarantined(connection: Connection) -> int:
    """Return the number of jobs in quarantine."""
    is_quarantined = (jobs.c.state == JobState.FAILED) & (jobs.c.quarantined == 1)
    return int(connection.execute(select(func.count()).where(is_quarantined)).scalar_one())


def running_workers(connection: Connection) -> set[str]:
    """Return the names of the workers that have a job."""
    busy = select(jobs.c.worker).where(jobs.c.state.in_((JobState.RUNNING, JobState.CANCELLING)))
    return set(connection.execute(busy).scalars())
