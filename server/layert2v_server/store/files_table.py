"""Rows of published files, and the sum of their sizes, inside transactions of the job store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, exists, func, insert, select, update

from layert2v.stack import FileRecord
from layert2v_server.domain.job import Job
from layert2v_server.store.tables import artifacts, jobs, totals

_USED_BYTES = "used_bytes"
_UNTRUSTED_RANK = 1 << 40  # above every sequence number
_MAX_HASHES_PER_QUERY = 500  # SQLite takes a few thousand parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredArtifact:
    """A file of a job; ``untrusted`` where a caller brought it and nobody checked it."""

    sha256: str
    job_id: str
    path: str
    untrusted: bool


def insert_artifacts(
    connection: Connection, job: Job, files: Sequence[FileRecord], untrusted: Collection[str]
) -> None:
    """Insert the files of a job, in order, and add what is new of them to the sum."""
    unchecked = set(untrusted)
    rows = [
        {
            "job_id": job.id,
            "position": position,
            "untrusted": int(file.sha256 in unchecked),
            **asdict(file),
        }
        for position, file in enumerate(files)
    ]
    if rows:
        connection.execute(insert(artifacts), rows)
    add_to_total(connection, unshared_bytes(connection, job))


def has_untrusted_files(connection: Connection, job_id: str) -> bool:
    """Tell if the job has files that a caller brought and nobody checked."""
    query = select(artifacts.c.job_id).where(
        artifacts.c.job_id == job_id, artifacts.c.untrusted != 0
    )
    return connection.execute(query.limit(1)).first() is not None


def unshared_bytes(connection: Connection, job: Job) -> int:
    """Return the size of the files that no other job of the same user has."""
    other, other_job = artifacts.alias("other"), jobs.alias("other_job")
    shared = exists(
        select(other.c.job_id)
        .join(other_job, other_job.c.id == other.c.job_id)
        .where(
            other.c.sha256 == artifacts.c.sha256,
            other.c.job_id != job.id,
            other_job.c.owner == job.owner,
        )
    )
    own = (
        select(artifacts.c.sha256, artifacts.c.size_bytes)
        .where(artifacts.c.job_id == job.id, ~shared)
        .distinct()
        .subquery()
    )
    return int(connection.execute(select(func.sum(own.c.size_bytes))).scalar() or 0)


def add_to_total(connection: Connection, size_bytes: int) -> None:
    """Add to the sum of all files."""
    known = totals.c.name == _USED_BYTES
    changed = connection.execute(
        update(totals).where(known).values(value=totals.c.value + size_bytes)
    )
    if not changed.rowcount:
        connection.execute(insert(totals).values(name=_USED_BYTES, value=size_bytes))


def read_total(connection: Connection) -> int:
    """Return the sum of all files."""
    query = select(totals.c.value).where(totals.c.name == _USED_BYTES)
    return max(0, int(connection.execute(query).scalar() or 0))


def read_artifacts(
    connection: Connection, job_id: str, *, start: int, size: int
) -> dict[int, FileRecord]:
    """Return up to ``size`` files of a job by position, from position ``start`` on, in order."""
    query = (
        select(artifacts)
        .where(artifacts.c.job_id == job_id, artifacts.c.position >= start)
        .order_by(artifacts.c.position)
        .limit(size)
    )
    return {
        row.position: FileRecord(path=row.path, size_bytes=row.size_bytes, sha256=row.sha256)
        for row in connection.execute(query)
    }


def find_artifacts(
    connection: Connection, owner: str, hashes: Collection[str]
) -> list[StoredArtifact]:
    """Return a file of ``owner`` for each of ``hashes`` that there is; see ``JobStore``."""
    wanted = list(hashes)
    rank = jobs.c.sequence - artifacts.c.untrusted * _UNTRUSTED_RANK
    columns = (artifacts.c.sha256, artifacts.c.job_id, artifacts.c.path, artifacts.c.untrusted)
    query = (
        select(*columns, func.max(rank))  # SQLite takes the others from the row with the maximum
        .join(jobs, jobs.c.id == artifacts.c.job_id)
        .group_by(artifacts.c.sha256)
        .where(jobs.c.owner == owner)
    )
    found: list[StoredArtifact] = []
    for start in range(0, len(wanted), _MAX_HASHES_PER_QUERY):
        batch = wanted[start : start + _MAX_HASHES_PER_QUERY]
        found += [
            StoredArtifact(
                sha256=row.sha256,
                job_id=row.job_id,
                path=row.path,
                untrusted=bool(row.untrusted),
            )
            for row in connection.execute(query.where(artifacts.c.sha256.in_(batch)))
        ]
    return found
