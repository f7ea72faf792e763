"""Files that nobody has checked, and the sum of all files, which is kept instead of counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# What earlier versions published of an upload cannot be told from what an engine wrote there.
_MARK = """
UPDATE artifacts SET untrusted = 1
WHERE job_id IN (SELECT id FROM jobs WHERE kind = 'RERENDER')
"""
_SUM = """
INSERT INTO totals (name, value)
SELECT 'used_bytes', coalesce(sum(size_bytes), 0) FROM (
    SELECT DISTINCT jobs.owner, artifacts.sha256, artifacts.size_bytes
    FROM artifacts JOIN jobs ON jobs.id = artifacts.job_id
) AS files
"""


def upgrade() -> None:
    column = sa.Column("untrusted", sa.Integer, nullable=False, server_default="0")
    op.add_column("artifacts", column)
    op.execute(_MARK)
    op.create_table(
        "totals",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column(
            "value", sa.Integer().with_variant(sa.BigInteger(), "postgresql"), nullable=False
        ),
    )
    op.execute(_SUM)
