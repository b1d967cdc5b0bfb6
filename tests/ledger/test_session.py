"""Connections to PostgreSQL: what they cost, and that ended ones are replaced."""

from __future__ import annotations

import math
import time

import pytest
import sqlalchemy as sa

from db import engine
from db.engine import Database, DatabaseUnusable

_ME = sa.select(sa.func.pg_backend_pid())


def cut_off(url: str, database: Database) -> None:
    """The server ends the connection that the database keeps."""
    with database.read() as connection:
        kept = connection.execute(_ME).scalar_one()
    with Database(url, keeps_connections=False).read() as other:
        assert other.execute(sa.select(sa.func.pg_terminate_backend(kept, 5000))).scalar_one()


def test_an_idle_connection_that_has_ended_is_replaced(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_UNCHECKED_S", 0.05)
    database = Database(postgres_url)
    cut_off(postgres_url, database)
    time.sleep(0.1)
    database.require_answer()
    database.close()


def test_a_connection_that_ends_just_after_use_fails_once_and_is_replaced(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_UNCHECKED_S", math.inf)
    database = Database(postgres_url)
    cut_off(postgres_url, database)
    with pytest.raises(DatabaseUnusable):
        database.require_answer()
    database.require_answer()
    database.close()


def test_reading_begins_no_transaction_and_writing_does(postgres_url: str) -> None:
    database = Database(postgres_url)
    began = sa.select(sa.func.now() == sa.func.statement_timestamp())  # now() is the transaction's beginning
    for part, is_at_once in ((database.read, True), (database.write, False), (database.read, True)):
        with part() as connection:
            connection.execute(sa.select(1))
            assert connection.execute(began).scalar_one() is is_at_once
    database.close()
