"""A home that is opened for reading is not changed, also while a worker writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database, DatabaseUnusable
from db.schema.tables import Run
from domain.errors import HomeUnusable
from orchestrator.session import open_read_only, open_session
from settings import Settings
from tests.ledger_rows import another_run, small_run

OF_READERS = {"ledger.sqlite-shm", "ledger.sqlite-wal"}
"""SQLite makes them for every reader."""


def files(home: Path) -> dict[str, bytes]:
    found = (path for path in home.rglob("*") if path.is_file() and path.name not in OF_READERS)
    return {str(path.relative_to(home)): path.read_bytes() for path in found}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    session = open_session(Settings(home=tmp_path / "home, 100 %?"))
    another_run(session.database, 4)
    session.database.close()
    return session.settings.home


def n_runs(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(Run)).scalar_one())


def test_opening_and_reading_changes_no_file(home: Path) -> None:
    before = files(home)
    assert n_runs(open_read_only(Settings(home=home)).database) == 1
    assert files(home) == before


def test_every_write_is_refused(database: Database) -> None:
    small_run(database)
    reader = Database(database.url, keeps_connections=False, is_read_only=True)
    with pytest.raises(DatabaseUnusable, match=r"read-?only"), reader.write() as connection:
        connection.execute(sa.update(Run).values(state="done"))
    assert n_runs(reader) == 1


def test_a_reader_neither_waits_for_a_writer_nor_holds_it_up(home: Path) -> None:
    writer = Database(Settings(home=home).database)
    reader = open_read_only(Settings(home=home)).database
    with writer.write() as connection:
        connection.execute(sa.update(Run).values(state="paused"))
        assert n_runs(reader) == 1
    with reader.read():
        another_run(writer, 1)
    assert n_runs(reader) == 2
    writer.close()


def test_a_home_without_a_ledger_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="there is no ledger in"):
        open_read_only(Settings(home=tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_another_version_is_refused_and_not_upgraded(home: Path) -> None:
    older = Database(Settings(home=home).database)
    with older.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0010'")
    older.close()
    before = files(home)
    with pytest.raises(DatabaseUnusable, match="run `orchestrator db upgrade`"):
        open_read_only(Settings(home=home))
    assert files(home) == before


def test_a_folder_that_cannot_be_written_is_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the answer of the system is replaced."""
    (home / "ledger.sqlite-shm").unlink(missing_ok=True)
    monkeypatch.setattr("orchestrator.home.os.access", lambda path, mode: False)
    with pytest.raises(HomeUnusable, match="read a copy of the home"):
        open_read_only(Settings(home=home))
