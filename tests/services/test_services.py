"""The services of other tests are real, private, and stopped afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis
from sqlalchemy import create_engine, text

from tests import servers


def test_a_message_put_into_the_broker_comes_out(redis_url):
    with Connection(redis_url) as broker:
        queue = broker.SimpleQueue("doorbell")
        queue.put({"run": 7})
        message = queue.get(timeout=5)
        assert message.payload == {"run": 7}
        message.ack()
        queue.close()


@pytest.mark.parametrize("time_round", [1, 2])
def test_every_test_gets_an_empty_broker(redis_url, time_round):
    socket_path = redis_url.removeprefix("redis+socket://").partition("?")[0]
    with Redis(unix_socket_path=socket_path) as broker:
        assert broker.dbsize() == 0
        broker.set("left-behind", 1)


def test_a_killed_broker_that_is_started_again_still_has_its_messages():
    with servers.private_folder("chorus-test") as folder:
        url = servers.redis_url(folder)
        with servers.redis(folder) as first:
            with Connection(url) as broker:
                queue = broker.SimpleQueue("doorbell")
                queue.put({"run": 7})
                queue.close()
            time.sleep(1.5)  # the append-only file is synced every second
            first.end(signal.SIGKILL)
        with servers.redis(folder), Connection(url) as broker:
            queue = broker.SimpleQueue("doorbell")
            assert queue.get(timeout=5).payload == {"run": 7}
            queue.close()


@pytest.mark.parametrize("time_round", [1, 2])
def test_every_test_gets_an_empty_database_of_the_kind_it_asked_for(database_url, time_round):
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE visit (id INTEGER PRIMARY KEY)"))
    engine.dispose()
    assert engine.dialect.name in database_url


def test_a_database_is_dropped_although_a_client_is_still_connected(postgres_server):
    with postgres_server.database("crowded") as url:
        engine = create_engine(url)
        lingering = engine.connect()
        lingering.execute(text("SELECT 1"))
    assert _names(postgres_server) == {"postgres", "template0", "template1"}
    lingering.invalidate()
    engine.dispose()


def _names(server) -> set[str]:
    engine = create_engine(server.url("postgres"))
    with engine.connect() as connection:
        names = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
    engine.dispose()
    return {name for name in names if not name.startswith("test_")}


def test_services_die_with_a_test_run_that_is_killed(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from tests import servers\n"
        "with servers.redis(Path(sys.argv[1])) as server:\n"
        "    print(server.process.pid, flush=True); time.sleep(60)\n"
    )
    with servers.private_folder("chorus-test") as folder:
        run = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        server_id = int(run.stdout.readline())
        run.kill()
        run.communicate()
        _await_end(server_id)


def _await_end(process_id: int) -> None:
    give_up = time.monotonic() + 10
    while _is_running(process_id):
        assert time.monotonic() < give_up, f"process {process_id} outlived its test run"
        time.sleep(0.05)


def _is_running(process_id: int) -> bool:
    """Whether a process runs; a dead one that was not waited for does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_service_skips_on_a_laptop_and_fails_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="PostgreSQL is not here; apt-get install postgresql"):
        servers.absent("PostgreSQL", "apt-get install postgresql")
