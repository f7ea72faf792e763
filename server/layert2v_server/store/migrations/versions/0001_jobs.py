"""Jobs, their artifacts, and the models that the workers reported."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# The same as the first SQLite files have; PostgreSQL was never at this schema alone.
Size = sa.Integer().with_variant(sa.BigInteger(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("request_digest", sa.Text, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("finished", sa.Float),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("preview_revision", sa.Integer, nullable=False),
        sa.Column("failure", sa.JSON),
        sa.Column("artifact_count", sa.Integer, nullable=False),
        sa.Column("artifact_bytes", Size, nullable=False),
        sa.UniqueConstraint("owner", "request_id", name="one_job_per_request"),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_state", "jobs", ["state", "sequence"])
    op.create_table(
        "artifacts",
        sa.Column(
            "job_id", sa.Text, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size_bytes", Size, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("info", sa.JSON, nullable=False),
    )
