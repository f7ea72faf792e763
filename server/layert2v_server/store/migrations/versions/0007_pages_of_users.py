"""An index for the pages of one user among the jobs of many."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("jobs_of_owner", "jobs", ["owner", "sequence"])
