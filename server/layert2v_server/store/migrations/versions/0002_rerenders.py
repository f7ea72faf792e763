"""Re-render jobs, their sources, and an index of files by content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name, former in (("kind", "GENERATE"), ("source", "")):
        op.add_column("jobs", sa.Column(name, sa.Text, nullable=False, server_default=former))
    op.create_index("artifacts_by_content", "artifacts", ["sha256"])
