"""Recordings planned on trust."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; recordings planned before were read, so none is on trust."""
    op.add_column("recording", sa.Column("is_on_trust", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("recording", "is_on_trust")
