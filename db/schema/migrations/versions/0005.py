"""Place and time of recordings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; they are filled when the recordings are planned again."""
    for name in ("latitude", "longitude", "hour"):
        op.add_column("recording", sa.Column(name, sa.Double(), nullable=True))
    op.add_column("recording", sa.Column("month", sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    for name in ("month", "hour", "longitude", "latitude"):
        op.drop_column("recording", name)
