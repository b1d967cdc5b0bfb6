"""The broker killed, wiped, robbed, full and stopped: a message is a doorbell, and the run ends complete."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from db.tables import Item
from orchestrator.dispatch import Dispatcher, Sender
from orchestrator.run import DispatcherThread
from tests import services
from tests.acceptance.command import orchestrator
from tests.chaos.machines import Broker, Calm, assert_same, at_milestones, machines, submitted

pytestmark = pytest.mark.chaos


def soon(seconds: float, do: Any, *words: Any) -> None:
    timer = threading.Timer(seconds, do, words)
    timer.daemon = True
    timer.start()


@pytest.mark.parametrize("stopped_s", [8, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.parametrize("server", ["valkey", pytest.param("redis-server", marks=pytest.mark.long)])
def test_whatever_happens_to_the_broker_changes_nothing(
    server: str, stopped_s: float, tmp_path: Path, broker_folder: Path, undisturbed: Calm
) -> None:
    binary = services.debian_redis() if server == "redis-server" else None
    with Broker(broker_folder, binary) as broker, machines(tmp_path, broker.url, window_messages=16) as cluster:

        def restart() -> None:
            broker.kill()
            time.sleep(1)
            broker.start()

        def fill() -> None:
            broker.client.config_set("maxmemory", 1)
            soon(4, broker.client.config_set, "maxmemory", 0)

        def stop() -> None:
            broker.service.process.send_signal(signal.SIGSTOP)
            soon(stopped_s, broker.service.process.send_signal, signal.SIGCONT)
            began_s = time.monotonic()
            urls = {"CHORUS_BROKER_URL": broker.url, "CHORUS_HOME": str(cluster.session.settings.home)}
            assert orchestrator("status", str(run), "--json", **urls).json["state"] == "active"
            answer = orchestrator("workers", **urls)
            assert answer.code == 4 or time.monotonic() - began_s > stopped_s, answer
            assert not answer.has_traceback
            assert time.monotonic() - began_s < 25, "a command froze with the broker"

        run = submitted(cluster, undisturbed.data)
        disturb = at_milestones(
            broker.client.flushall,
            restart,
            lambda: broker.client.lpop("cpu", max(1, broker.client.llen("cpu") // 2)),
            fill,
            stop,
        )
        cluster.start_worker("a", CHAOS="slow=0.3")
        cluster.start_dispatcher()
        seen = cluster.until_over(run, disturb, limit_s=300)
        assert_same(cluster.session, seen, undisturbed)
        assert not disturb.left, "the run was over before every fault was met"


def test_messages_that_come_three_times_and_come_back_while_they_are_worked_on_have_one_effect(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    class SendsThrice(Sender):
        def send(self, task: str, queue: str, messages: Sequence[dict[str, Any]]) -> int:
            return min([super(SendsThrice, self).send(task, queue, messages) for _ in range(3)])

    with machines(tmp_path, redis_url) as cluster:
        run = submitted(cluster, undisturbed.data)
        for name in ("a", "b"):
            cluster.start_worker(name, CHAOS="slow=0.3 visibility=0.5")
        session = cluster.session
        with DispatcherThread(Dispatcher(session.database, SendsThrice(session.settings), session.settings)):
            seen = cluster.until_over(run)
        assert_same(session, seen, undisturbed)
        with session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
        assert [job.attempts for job in seen.jobs] == [1] * len(seen.jobs)
