"""The tables of the job store. The migrations make them; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()

# SQLite's integers are large enough for sizes in bytes, PostgreSQL's are not.
Size = Integer().with_variant(BigInteger(), "postgresql")

DAMAGED: Any = object()  # in place of JSON that cannot be read


class LenientJson(TypeDecorator[Any]):
    """JSON of which a damaged value becomes ``DAMAGED``, so that one row does not hide the rest."""

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(none_as_null=True)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                return value if read is None else read(value)
            except (ValueError, TypeError, RecursionError):
                return DAMAGED

        return process


jobs = Table(
    "jobs",
    metadata,
    Column("sequence", Integer, primary_key=True),  # queue order, and the order of pages
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("request_digest", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("spec", LenientJson(), nullable=False),  # of the kind that `kind` names
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("worker", Text, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("progress", LenientJson(), nullable=False),
    Column("preview_revision", Integer, nullable=False),
    Column("failure", LenientJson()),
    Column("artifact_count", Integer, nullable=False),
    Column("artifact_bytes", Size, nullable=False),
    # Of a queued job: the changes of the queue before it joined; see ``transitions``.
    Column("queue_base", Integer, nullable=False, server_default="0"),
    Column("priority", Integer, nullable=False, server_default="0"),
    # See ``domain.work``.
    Column("work_kind", Text, nullable=False, server_default=""),
    Column("work_amount", Float, nullable=False, server_default="0"),
    # See ``quarantine``: workers that died, whether it is in quarantine, attempts before a release.
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("quarantined", Integer, nullable=False, server_default="0"),
    Column("attempt_base", Integer, nullable=False, server_default="0"),
    # One user's ids say nothing about another's jobs.
    UniqueConstraint("owner", "request_id", name="one_job_per_request"),
    Index("jobs_by_state", "state", "sequence"),
    Index("jobs_by_owner", "owner", "started"),
    Index("jobs_of_owner", "owner", "sequence"),  # pages of one user
    sqlite_autoincrement=True,  # a deleted job's number never comes back: page tokens stay true
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("size_bytes", Size, nullable=False),
    Column("sha256", Text, nullable=False),
    # Of a caller, and not decoded yet: 1; of an engine, or decoded: 0.
    Column("untrusted", Integer, nullable=False, server_default="0"),
    Index("artifacts_by_content", "sha256"),
)

# Who holds which object of the bucket: a finished job, a waiting one, an upload. What nobody holds
# may be removed from there; see ``store.bucket``.
stored_objects = Table(
    "stored_objects",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("place", Text, primary_key=True),  # its path for the holder; an upload's media type
    Column("owner", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("size_bytes", Size, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("untrusted", Integer, nullable=False, server_default="0"),
    Column("created", Float, nullable=False),
    Index("stored_objects_by_location", "location"),
    Index("stored_objects_by_content", "sha256", "owner"),
)

# The models that the running server's workers reported; kept so that a call need not wait for a
# worker that is being restarted.
models = Table(
    "models",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("info", LenientJson(), nullable=False),
)

# Seconds that a unit of work takes on a worker.
speeds = Table(
    "speeds",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("worker", Text, primary_key=True),
    Column("seconds", Float, nullable=False),
)

# Sums and counts that would take too long at every question. On PostgreSQL a row of it is locked
# after the rows of jobs that a transaction changes, never before.
USED_BYTES, QUEUE_CHANGES, FOLDER_ID = "used_bytes", "queue_changes", "folder_id"
BUCKET_ID = "bucket_id"
totals = Table(
    "totals",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Size, nullable=False),
)
