"""The database restarted, out of connections, or locked: short waits, and never a row without its file.

Slow: the database is away for seconds each time, and asked again after longer and longer pauses.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from db.engine import Database
from db.schema.upgrade import upgrade
from tests import servers
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import at_milestones, begun, machines, soon, submitted
from tests.chaos.networks import HERE, namespace, postgres_there, unplug


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


HOLDS = """
import sys, time
import sqlalchemy as sa
from db.engine import Database
with Database(sys.argv[1]).write() as connection:
    connection.execute(sa.text("UPDATE lamp SET is_on = true"))
    print("holds", flush=True)
    time.sleep(600)
"""


def test_a_process_that_is_cut_off_in_a_transaction_stops_the_others_for_seconds() -> None:
    """The server must notice: its own default is two hours."""
    user = servers.postgres_user()
    with namespace() as name, postgres_there(user) as server:
        url = server.url("postgres")
        server.execute("CREATE TABLE lamp AS SELECT false AS is_on")
        command = ["ip", "netns", "exec", name, sys.executable, "-c", HOLDS, url.replace("127.0.0.1", HERE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, ExitStack() as stack:
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"
            unplug(name)
            begun_s = time.monotonic()
            database = Database(url)
            stack.callback(database.close)
            with database.write() as connection:
                connection.execute(sa.text("SET LOCAL lock_timeout = '60s'"))
                connection.execute(sa.text("UPDATE lamp SET is_on = false"))
            waited_s = time.monotonic() - begun_s
    assert 5 < waited_s < 45


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
