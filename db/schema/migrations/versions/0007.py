"""The child process that holds a claim."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is NULL for earlier claims."""
    for table in ("item", "job"):
        op.add_column(table, sa.Column("process", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Remove the column."""
    for table in ("job", "item"):
        op.drop_column(table, "process")
