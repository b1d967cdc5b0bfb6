"""Kinds of runs: earlier runs trained models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; every existing run is a training."""
    op.add_column("run", sa.Column("kind", sa.String(12), nullable=False, server_default="train"))


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("run", "kind")
