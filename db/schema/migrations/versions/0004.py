"""Jobs of a variant, whose model is trained under one change. The only one so far, shuffled chunks, was fold -2."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and name the only variant that existed."""
    op.add_column("job", sa.Column("variant", sa.String(length=60), nullable=True))
    op.execute("UPDATE job SET variant = 'shuffled chunks', fold = -1 WHERE fold = -2")


def downgrade() -> None:
    """Restore the fold number that marked it."""
    op.execute("UPDATE job SET fold = -2 WHERE variant = 'shuffled chunks'")
    op.drop_column("job", "variant")
