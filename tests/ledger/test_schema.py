"""The schema's versions, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from db.engine import Database, DatabaseUnusable
from db.ledger.planning import JobRow
from db.queries import status
from db.schema.tables import Table
from db.schema.upgrade import _config, require_current, upgrade
from tasks.dataset.split import leaky
from tests.ledger_rows import small_run


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    upgrade(database)
    require_current(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_a_ledger_of_an_older_version_keeps_its_shuffled_chunks_apart_when_it_is_brought_up_to_date(
    database: Database,
) -> None:
    rows = [JobRow("train", "cnn", 0, -1), JobRow("train", "cnn", 0, -1, variant=leaky.VARIANT)]
    small = small_run(database, 1, rows)
    with database.write() as connection:
        command.downgrade(_config(connection), "0003")
        assert [row[0] for row in connection.exec_driver_sql("SELECT fold FROM job ORDER BY id")] == [-1, -2]
    upgrade(database)
    assert [(job.fold, job.variant) for job in status.jobs(database, small.run)] == [(-1, None), (-1, leaky.VARIANT)]


def test_an_empty_and_a_newer_database_are_refused_in_a_sentence(database: Database) -> None:
    with pytest.raises(DatabaseUnusable, match="db upgrade"):
        require_current(database)
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for refuse in (require_current, upgrade):
        with pytest.raises(DatabaseUnusable, match="newer than this code"):
            refuse(database)
