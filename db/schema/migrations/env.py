"""Alembic's entry point: runs the revisions on the connection that `db.schema.upgrade` passes in."""

from __future__ import annotations

from alembic import context

from db.schema.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
