"""Notes on strips: silent chunks, channels that cancel, sound above the preset's band."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and its index; it is NULL for strips of earlier versions."""
    op.add_column("artifact", sa.Column("notes", sa.Text(), nullable=True))
    noted = sa.text("notes IS NOT NULL")
    op.create_index("ix_artifact_notes", "artifact", ["pipeline_id"], sqlite_where=noted, postgresql_where=noted)


def downgrade() -> None:
    """Remove both."""
    op.drop_index("ix_artifact_notes", "artifact")
    op.drop_column("artifact", "notes")
