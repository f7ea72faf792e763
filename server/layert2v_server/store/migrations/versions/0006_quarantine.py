"""Workers that died with a job, and jobs in quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name in ("deaths", "quarantined", "attempt_base"):
        op.add_column("jobs", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
