"""The database restarted, out of connections, or locked: short waits, and never a row without its file.

Slow: the database is away for seconds each time, and asked again after longer and longer pauses.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from db.engine import Database
from db.schema.upgrade import upgrade
from tests import servers
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import at_milestones, begun, machines, soon, submitted


def test_a_database_that_restarts_or_has_no_connection_left_is_waited_for(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    user = servers.postgres_user()
    with servers.private_folder("chorus-pg", owner=user) as folder, ExitStack() as started:
        serving = [started.enter_context(servers.postgres(folder, user))]
        server = serving[0]
        server.execute('CREATE DATABASE "chaos"')
        database = Database(server.url("chaos"))
        upgrade(database)
        database.close()

        def restart_at_once() -> None:
            serving.pop().service.end(signal.SIGQUIT)  # pg_ctl stop -m immediate
            time.sleep(2)
            serving.append(started.enter_context(servers.postgres_again(folder, user, server.port)))

        def use_up_connections() -> None:
            held = []
            while len(held) < 200:
                try:
                    held.append(psycopg.connect(f"host=127.0.0.1 port={server.port} user=chorus dbname=postgres"))
                except psycopg.OperationalError:
                    break
            assert len(held) > 50
            soon(4, lambda: [connection.close() for connection in held])

        url = server.url("chaos")
        with machines(tmp_path, redis_url, database_url=url) as cluster:
            run = begun(cluster, undisturbed.data, CHAOS="slow=0.2")
            disturb = at_milestones(restart_at_once, use_up_connections, lambda: None, restart_at_once)
            seen = cluster.until_over(run, disturb)
            assert_same(cluster.session, seen, undisturbed)
            assert not disturb.left


@pytest.mark.long
def test_eight_writers_wait_out_a_locked_file(tmp_path: Path, redis_url: str, undisturbed: Calm) -> None:
    with machines(tmp_path, redis_url, concurrency=8) as cluster:
        run = submitted(cluster, undisturbed.data)
        held = sqlite3.connect(cluster.session.settings.home / "ledger.sqlite", check_same_thread=False, timeout=30)
        held.isolation_level = None

        def lock() -> None:
            held.execute("BEGIN IMMEDIATE")
            soon(5, held.execute, "COMMIT")

        cluster.start_worker("a", CHAOS="slow=0.3")
        cluster.start_dispatcher()
        disturb = at_milestones(lock, lambda: None, lambda: None, lock)
        seen = cluster.until_over(run, disturb)
        assert_same(cluster.session, seen, undisturbed)
        assert not disturb.left
        logs = cluster.log("a").read_text() + cluster.log("dispatcher").read_text()
        assert "database is locked" not in logs
        held.close()
