"""Count the changes of the queue once instead of in the row of every queued job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("queue_base", sa.Integer, nullable=False, server_default="0"))
    op.execute("INSERT INTO totals (name, value) VALUES ('queue_changes', 0)")
