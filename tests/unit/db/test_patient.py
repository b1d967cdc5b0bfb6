"""A database that a job uses through a short outage."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from db import engine
from db.engine import Database, DatabaseUnusable


@pytest.fixture
def pauses_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses, which take no time."""
    pauses: list[float] = []
    monkeypatch.setattr(engine.time, "sleep", pauses.append)
    return pauses


def away(folder: Path, n_refused: int) -> Database:
    """A database that refuses the first connections."""
    database = Database(f"sqlite:///{folder / 'ledger.sqlite'}")
    refusals = iter(range(n_refused))

    @sa.event.listens_for(database.engine, "do_connect")
    def refuse(*_: object) -> None:
        if next(refusals, None) is not None:
            raise sqlite3.OperationalError("the server is starting up")

    return database


@pytest.mark.parametrize("use", ["read", "write"])
def test_a_patient_database_waits_until_it_is_connected(tmp_path: Path, use: str, pauses_s: list[float]) -> None:
    database = away(tmp_path, 3)
    with getattr(database.patient(60.0), use)() as connection:
        assert connection.execute(sa.select(1)).scalar_one() == 1
    assert pauses_s == [0.25, 0.5, 1.0]
    database.close()


def test_it_gives_up_before_its_time_is_over(tmp_path: Path, pauses_s: list[float]) -> None:
    database = away(tmp_path, 1)
    with pytest.raises(DatabaseUnusable, match="starting up"), database.patient(0.2).read():
        pass
    assert not pauses_s
    database.close()


def test_others_are_told_at_once(tmp_path: Path, pauses_s: list[float]) -> None:
    database = away(tmp_path, 1)
    with pytest.raises(DatabaseUnusable, match="starting up"), database.read():
        pass
    assert not pauses_s
    database.close()


def test_an_error_inside_the_block_is_not_repeated(tmp_path: Path, pauses_s: list[float]) -> None:
    database = away(tmp_path, 0)
    with pytest.raises(DatabaseUnusable, match="no such table"), database.patient(60.0).read() as connection:
        connection.exec_driver_sql("SELECT * FROM no_such")
    assert not pauses_s
    database.close()
