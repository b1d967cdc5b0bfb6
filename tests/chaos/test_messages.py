"""A worker among hostile messages: the same process refuses them all, and then carries out a run.

Slow: a real worker with its children.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from domain.states import State
from orchestrator.broker import Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.execution.run import DispatcherThread
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.progress import snapshot
from orchestrator.session import Session
from tests import hostile_messages
from tests.chaos.machines import Broker
from tests.e2e.way import dataset, home
from tests.hostile_messages import message
from workers.roles import CPU, command, environment

NO_RUN = {"version": 1, "run": 0, "items": [1]}
"""No run has the number 0: whatever is left of such a message does nothing."""
MOST_MORE_MEMORY_KB = 330_000
"""Reading the message of 64 MB alone takes 196 to 262 MB: redis-py copies its buffer when it grows, and returns another
copy. The allocator keeps some of what is freed."""


@contextmanager
def worker(session: Session) -> Iterator[subprocess.Popen[bytes]]:
    log = (session.settings.home / "worker.log").open("wb")
    with (
        log,
        subprocess.Popen(
            command(CPU, session.settings, "cpu@messages"),
            env=environment(CPU, session.settings),
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def log_of(session: Session) -> str:
    return (session.settings.home / "worker.log").read_text(errors="replace")


def await_that(is_so: Callable[[], bool], process: subprocess.Popen[bytes], session: Session, within_s: float) -> None:
    give_up = time.monotonic() + within_s
    while not is_so():
        assert process.poll() is None, f"the worker ended:\n{log_of(session)[-3000:]}"
        assert time.monotonic() < give_up, log_of(session)[-3000:]
        time.sleep(0.1)


def most_memory_kb(process: int) -> int:
    return int(Path(f"/proc/{process}/status").read_text().partition("VmHWM:")[2].split()[0])


@pytest.mark.parametrize("n", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_worker_survives_whatever_is_put_into_the_broker_and_carries_out_a_run(
    n: int, tmp_path: Path, broker_folder: Path
) -> None:
    tones = dataset(tmp_path)
    with Broker(broker_folder) as broker, home(tmp_path / "home", concurrency=1, broker_url=broker.url) as session:
        client = broker.client

        def is_empty() -> bool:
            return client.type("cpu") == b"none" and client.type("unacked") == b"none"

        with worker(session) as process, Sender(session.settings) as sender:
            await_that(lambda: "ready." in log_of(session), process, session, 120)
            at_start_kb = most_memory_kb(process.pid)
            for name, content in hostile_messages.hostile({"version": 1, "run": 1, "items": [1]}).items():
                client.lpush("cpu", content)
                client.publish("/0.celery.pidbox", content)
                await_that(is_empty, process, session, 30)
                assert name
            for key in (b"cpu", b"unacked", b"unacked_index", b"unacked_mutex", *client.keys("_kombu*")):
                for put in (client.set, client.lpush):
                    client.delete(key)
                    put(key, "garbage")
                    client.lpush("cpu", hostile_messages.raw(message(NO_RUN))) if key != b"cpu" else None
                    await_that(is_empty, process, session, 30)
            rest = hostile_messages.fuzzed(message(NO_RUN), n, Random(n))
            for batch in iter(lambda: [content for _, content in zip(range(1000), rest, strict=False)], []):
                client.lpush("cpu", *batch)
            await_that(is_empty, process, session, 30 + n / 100)
            client.lpush("cpu", b"x" * (64 << 20))
            await_that(is_empty, process, session, 60)
            run = submit(session.database, tones, Request(until="preprocess"), lambda _: None).run
            with DispatcherThread(Dispatcher(session.database, Sender(session.settings), session.settings)):
                await_that(lambda: snapshot(session.database, run).is_over, process, session, 240)
            assert snapshot(session.database, run).items[State.DONE] == 36
            assert most_memory_kb(process.pid) - at_start_kb < MOST_MORE_MEMORY_KB
            await_that(lambda: sum(sender.refused().values()) > n / 2, process, session, 30)
        log = log_of(session)
        assert not {character for character in log if ord(character) < 32} - {"\n", "\t"}, "control characters"
        assert log.count("is refused and removed") < 60
        assert "Traceback" not in log
