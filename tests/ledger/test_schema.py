"""The schema's versions, on SQLite and PostgreSQL."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from db.engine import Database, DatabaseUnusable
from db.ledger import planning
from db.queries import status
from db.schema.tables import Item, Table
from db.schema.upgrade import _config, require_current, upgrade
from domain.reasons import ReasonCode
from domain.states import State
from domain.work import PlannedJob
from tasks.dataset.split import leaky
from tests.ledger_rows import small_run


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    upgrade(database)
    require_current(database)
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def test_three_upgrades_at_once_make_one_ledger(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(upgrade, databases))) == 1
    for each in databases:
        require_current(each)
        each.close()


def test_a_ledger_of_an_older_version_keeps_its_shuffled_chunks_apart_when_it_is_upgraded(
    database: Database,
) -> None:
    rows = [PlannedJob("train", "cnn", 0, -1), PlannedJob("train", "cnn", 0, -1, variant=leaky.VARIANT)]
    small = small_run(database, 1, rows)
    with database.write() as connection:
        command.downgrade(_config(connection), "0003")
        assert [row[0] for row in connection.exec_driver_sql("SELECT fold FROM job ORDER BY id")] == [-1, -2]
    upgrade(database)
    assert [(job.fold, job.variant) for job in status.jobs(database, small.run)] == [(-1, None), (-1, leaky.VARIANT)]


_OLD_SENTENCES = (
    (State.QUARANTINED, "empty: 0 samples", "empty"),
    (State.QUARANTINED, "header and content disagree: x.wav", "header_mismatch"),
    (State.QUARANTINED, "changed since it was planned: another worker read other bytes", "changed"),
    (State.QUARANTINED, "ended its process 3 times: signal 11 (SIGSEGV)", "crashed_worker"),
    (State.QUARANTINED, "lost its worker 10 times: its worker stopped answering", "worker_lost"),
    (State.FAILED, "given up after 8 attempts: OSError: no store", "machine_fault"),
    (State.FAILED, "its strip is gone from the store or damaged", "file_lost"),
    (State.FAILED, "loss is not a number in epoch 3", "impossible"),
    (State.WAITING, "OSError: disk full", "machine_fault"),
    (State.CANCELLED, "the run was cancelled", "cancelled_by_user"),
    (State.CANCELLED, "needs a train job, which is failed", "need_failed"),
    (State.CANCELLED, "2 items failed: OSError: x; `orchestrator retry 1` tries again", "items_failed"),
    (
        State.FAILED,
        "x; `orchestrator doctor --repair` marks it, and `orchestrator retry` …",
        "damaged_file",
    ),
    (State.QUARANTINED, "a sentence of long ago", "unknown"),
    (State.DONE, None, None),
)


def test_older_reasons_get_their_codes_once_when_the_ledger_is_upgraded(database: Database) -> None:
    small = small_run(database, len(_OLD_SENTENCES))
    planning.add_bad_rows(
        database, small.run, [{"line": 2, "uri": "a.wav", "reason": "missing file", "is_duplicate": False}]
    )
    with database.write() as connection:
        command.downgrade(_config(connection), "0007")
        for item, (state, sentence, _) in zip(small.items, _OLD_SENTENCES, strict=True):
            old = sa.table("item", sa.column("id"), sa.column("state"), sa.column("reason"))
            connection.execute(sa.update(old).where(old.c.id == item).values(state=state.value, reason=sentence))
    upgrade(database)
    with database.read() as connection:
        codes = connection.scalars(sa.select(Item.reason_code).order_by(Item.id)).all()
    assert codes == [code for _, _, code in _OLD_SENTENCES]
    assert [row.reason_code for row in status.bad_rows(database, small.run)] == ["not_found"]


def test_the_codes_of_older_reasons_are_codes_of_today() -> None:
    migration = importlib.import_module("db.schema.migrations.versions.0008")
    given = {code for _, code in (*migration._OF_WORK, *migration._OF_ROWS)}
    assert given <= set(ReasonCode)
    assert {code for _, code in migration._OF_ROWS} >= {code for code in ReasonCode if code.words in _BAD_ROW_WORDS}


_BAD_ROW_WORDS = frozenset(
    {"missing file", "duplicate path", "no label", "empty label", "cannot be read", "changed while it was read"}
)


def test_an_empty_and_a_newer_database_are_refused_in_a_sentence(database: Database) -> None:
    with pytest.raises(DatabaseUnusable, match="db upgrade"):
        require_current(database)
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for refuse in (require_current, upgrade):
        with pytest.raises(DatabaseUnusable, match="newer than this code"):
            refuse(database)
