"""Priorities, the work of a job, and the speeds of workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for column in (
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
        sa.Column("work_kind", sa.Text, nullable=False, server_default=""),
        sa.Column("work_amount", sa.Float, nullable=False, server_default="0"),
    ):
        op.add_column("jobs", column)
    op.create_index("jobs_by_owner", "jobs", ["owner", "started"])
    op.create_table(
        "speeds",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("worker", sa.Text, primary_key=True),
        sa.Column("seconds", sa.Float, nullable=False),
    )
