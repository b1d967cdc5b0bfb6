"""Of several dispatchers one works; the next one follows however it ends."""

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
from db.ledger.leader import Turn

HOLDER = (
    "import sys, time; from db.engine import Database; from db.ledger.leader import Turn\n"
    "turn = Turn(Database(sys.argv[1])); print(turn.is_ours(), flush=True); time.sleep(600)\n"
)


@pytest.fixture
def postgres(postgres_url: str):
    database = Database(postgres_url)
    yield database
    database.close()


def test_one_has_the_turn_and_keeps_it_and_the_other_stands_by(postgres: Database) -> None:
    with Turn(postgres) as first, Turn(postgres) as second:
        assert [first.is_ours(), second.is_ours(), first.is_ours(), second.is_ours()] == [True, False, True, False]


def test_whoever_ends_leaves_the_turn_to_the_next(postgres: Database) -> None:
    with Turn(postgres) as second:
        with Turn(postgres) as first:
            assert first.is_ours()
            assert not second.is_ours()
        assert second.is_ours()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_dispatchers_turn_is_free_within_a_second_or_two(how: signal.Signals, postgres_url, postgres) -> None:
    command = [sys.executable, "-c", HOLDER, postgres_url]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as holder,
        Turn(postgres) as next_one,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert not next_one.is_ours()
        os.kill(holder.pid, how)
        give_up = time.monotonic() + 15
        while not next_one.is_ours():
            assert time.monotonic() < give_up
            time.sleep(0.1)


def test_who_loses_the_connection_knows_that_the_turn_is_lost_and_may_take_it_again(postgres: Database) -> None:
    with Turn(postgres) as turn:
        assert turn.is_ours()
        with postgres.write() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '% dispatcher'"
                )
            )
        assert not turn.is_ours()
        assert turn.is_ours()


def test_the_server_is_told_to_look_whether_the_holder_is_still_there(postgres: Database) -> None:
    with Turn(postgres) as turn:
        assert turn.is_ours()
        assert turn._connection is not None
        names = ("idle", "interval", "count")
        idle_s, interval_s, count = (
            int(turn._connection.exec_driver_sql(f"SHOW tcp_keepalives_{name}").scalar_one()) for name in names
        )
    assert 0 < idle_s + interval_s * count <= 12


def test_nobody_has_the_turn_of_a_database_out_of_reach() -> None:
    with Turn(Database("postgresql+psycopg://chorus@127.0.0.1:9/none")) as turn:
        assert not turn.is_ours()


def test_in_a_home_the_file_lock_decides_and_the_turn_is_always_ours(sqlite_url: str) -> None:
    with Turn(Database(sqlite_url)) as one, Turn(Database(sqlite_url)) as other:
        assert one.is_ours()
        assert other.is_ours()
