"""Which of a worker's children holds a claim."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Claims of before are of no process that is known."""
    for table in ("item", "job"):
        op.add_column(table, sa.Column("process", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Forgets the processes."""
    for table in ("job", "item"):
        op.drop_column(table, "process")
