"""Rows of published files, and the sum of their sizes, inside transactions of the job store."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, exists, func, insert, select, update

from layert2v.stack import FileRecord
from layert2v_server.domain.job import Job
from layert2v_server.store.tables import USED_BYTES, artifacts, jobs, totals

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
    lock_total(connection)  # two jobs that end at the same time may share files
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
    known = totals.c.name == USED_BYTES
    changed = connection.execute(
        update(totals).where(known).values(value=totals.c.value + size_bytes)
    )
    if not changed.rowcount:
        connection.execute(insert(totals).values(name=USED_BYTES, value=size_bytes))


def lock_total(connection: Connection) -> None:
    """Let no other transaction change the files before this one ends."""
    known = totals.c.name == USED_BYTES
    connection.execute(select(totals.c.value).where(known).with_for_update())


def read_total(connection: Connection) -> int:
    """Return the sum of all files."""
    query = select(totals.c.value).where(totals.c.name == USED_BYTES)
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
    columns = (artifacts.c.sha256, artifacts.c.job_id, artifacts.c.path, artifacts.c.untrusted)
    rank = func.row_number().over(
        partition_by=artifacts.c.sha256,
        order_by=(artifacts.c.untrusted, jobs.c.sequence.desc(), artifacts.c.position),
    )
    ranked = select(*columns, rank.label("rank")).join(jobs, jobs.c.id == artifacts.c.job_id)
    found: list[StoredArtifact] = []
    for start in range(0, len(wanted), _MAX_HASHES_PER_QUERY):
        batch = wanted[start : start + _MAX_HASHES_PER_QUERY]
        owned = ranked.where(jobs.c.owner == owner, artifacts.c.sha256.in_(batch)).subquery()
        found += [
            StoredArtifact(
                sha256=row.sha256,
                job_id=row.job_id,
                path=row.path,
                untrusted=bool(row.untrusted),
            )
            for row in connection.execute(select(owned).where(owned.c.rank == 1))
        ]
    return found
