"""A job may be a variant: its model trained under one change. Shuffled chunks are one; they were fold -2 before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Names the one variant there was."""
    op.add_column("job", sa.Column("variant", sa.String(length=60), nullable=True))
    op.execute("UPDATE job SET variant = 'shuffled chunks', fold = -1 WHERE fold = -2")


def downgrade() -> None:
    """Gives it its fold of old."""
    op.execute("UPDATE job SET fold = -2 WHERE variant = 'shuffled chunks'")
    op.drop_column("job", "variant")
