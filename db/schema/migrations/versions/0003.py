"""A run may hold several pipelines: each job of a model names its own."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; NULL in jobs planned before, which use their run's own pipeline."""
    # In plain SQL: Alembic would copy SQLite's table to add the reference, and rows that refer to it would be deleted.
    kind = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    op.execute(f"ALTER TABLE job ADD COLUMN pipeline_id {kind} CONSTRAINT fk_job_pipeline_id REFERENCES pipeline (id)")


def downgrade() -> None:
    """Remove the column."""
    op.drop_column("job", "pipeline_id")
