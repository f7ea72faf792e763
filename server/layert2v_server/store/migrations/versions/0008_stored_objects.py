"""Who holds which object of a bucket."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    size = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
    op.create_table(
        "stored_objects",
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("size_bytes", size, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("untrusted", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_index("stored_objects_by_location", "stored_objects", ["location"])
    op.create_index("stored_objects_by_content", "stored_objects", ["sha256", "owner"])
