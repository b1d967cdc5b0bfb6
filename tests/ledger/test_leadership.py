"""Of several dispatchers one leads; another takes over however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger.leader import Leadership

HOLDER = (
    "import sys, time; from db.engine import Database; from db.ledger.leader import Leadership\n"
    "leadership = Leadership(Database(sys.argv[1])); print(leadership.acquire(), flush=True); time.sleep(600)\n"
)


@pytest.fixture
def postgres(postgres_url: str):
    database = Database(postgres_url)
    yield database
    database.close()


def _acquire_within(limit_s: float, leadership: Leadership) -> None:
    """PostgreSQL frees the lock some milliseconds after the client closed: when its process for the connection ends."""
    give_up = time.monotonic() + limit_s
    while not leadership.acquire():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_one_takes_and_keeps_the_lock_and_the_other_stands_by(postgres: Database) -> None:
    with Leadership(postgres) as first, Leadership(postgres) as second:
        assert [first.acquire(), second.acquire(), first.acquire(), second.acquire()] == [True, False, True, False]


def test_a_leader_that_ends_leaves_the_lock_to_the_next(postgres: Database) -> None:
    with Leadership(postgres) as second:
        with Leadership(postgres) as first:
            assert first.acquire()
            assert not second.acquire()
        _acquire_within(2, second)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_lock_of_a_killed_dispatcher_is_free_within_a_second_or_two(
    how: signal.Signals, postgres_url, postgres
) -> None:
    command = [sys.executable, "-c", HOLDER, postgres_url]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as holder,
        Leadership(postgres) as next_one,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert not next_one.acquire()
        os.kill(holder.pid, how)
        _acquire_within(15, next_one)


def test_a_leader_that_loses_its_connection_notices_and_may_take_the_lock_again(postgres: Database) -> None:
    with Leadership(postgres) as leadership:
        assert leadership.acquire()
        with postgres.write() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '% dispatcher'"
                )
            )
        assert not leadership.acquire()
        _acquire_within(2, leadership)


def test_the_server_checks_whether_the_holder_is_still_there(postgres: Database) -> None:
    with Leadership(postgres) as leadership:
        assert leadership.acquire()
        assert leadership._connection is not None
        names = ("idle", "interval", "count")
        idle_s, interval_s, count = (
            int(leadership._connection.exec_driver_sql(f"SHOW tcp_keepalives_{name}").scalar_one()) for name in names
        )
    assert 0 < idle_s + interval_s * count <= 12


def test_no_process_leads_while_the_database_is_unreachable() -> None:
    with Leadership(Database("postgresql+psycopg://chorus@127.0.0.1:9/none")) as leadership:
        assert not leadership.acquire()


def test_on_sqlite_every_process_leads_because_the_homes_file_lock_decides(sqlite_url: str) -> None:
    with Leadership(Database(sqlite_url)) as one, Leadership(Database(sqlite_url)) as other:
        assert one.acquire()
        assert other.acquire()
