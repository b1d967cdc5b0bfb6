"""The broker killed, wiped, robbed, full and stopped: a message is a doorbell, and the run ends complete.

Slow: the broker is away for seconds each time, and what it forgot is sent again after a pause.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.schema.tables import Item
from tests import servers
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import Broker, at_milestones, machines, soon, submitted
from tests.e2e.command import orchestrator, until

FULL_FOR_S, MOST_OFFERS = 8, 6
"""With pauses of 0.5, 1, 2, 4 and 8 s there is a fifth offer after 7.5 s, with pauses of 0.25 s some twenty-five."""


@pytest.mark.parametrize("stopped_s", [8, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.parametrize("server", ["valkey", pytest.param("redis-server", marks=pytest.mark.long)])
def test_whatever_happens_to_the_broker_changes_nothing(
    server: str, stopped_s: float, tmp_path: Path, broker_folder: Path, undisturbed: Calm
) -> None:
    binary = servers.debian_redis() if server == "redis-server" else None
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
            began_s = time.monotonic()
            urls = {"CHORUS_BROKER_URL": broker.url, "CHORUS_HOME": str(cluster.session.settings.home)}
            # It goes on only after both have answered: a command that froze with it would reach its limit.
            assert orchestrator("status", str(run), "--json", timeout_s=60, **urls).json["state"] == "active"
            answer = orchestrator("workers", timeout_s=60, **urls)
            assert answer.code == 4, answer
            assert not answer.has_traceback
            left_s = max(0.0, began_s + stopped_s - time.monotonic())
            soon(left_s, broker.service.process.send_signal, signal.SIGCONT)

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


def test_a_full_broker_is_offered_messages_with_longer_and_longer_pauses(
    tmp_path: Path, broker_folder: Path, undisturbed: Calm
) -> None:
    with Broker(broker_folder) as broker, machines(tmp_path, broker.url) as cluster:
        run = submitted(cluster, undisturbed.data)
        broker.client.config_set("maxmemory", 1)
        cluster.start_dispatcher()
        offers = "not allowed when used memory"
        until(lambda: offers in cluster.log("dispatcher").read_text())
        time.sleep(FULL_FOR_S)
        n_offers = cluster.log("dispatcher").read_text().count(offers)
        broker.client.config_set("maxmemory", 0)
        cluster.start_worker("a")
        assert_same(cluster.session, cluster.until_over(run), undisturbed)
        assert n_offers <= MOST_OFFERS, "the dispatcher does not back off"


def test_messages_that_come_three_times_and_come_back_while_they_are_worked_on_have_one_effect(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = submitted(cluster, undisturbed.data)
        for name in ("a", "b"):
            cluster.start_worker(name, CHAOS="slow=0.3 visibility=0.5")
        with cluster.dispatching_thrice():
            seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
        assert [job.attempts for job in seen.jobs] == [1] * len(seen.jobs)
        assert cluster.made() == undisturbed.each_once
        received = cluster.received("a", "preprocess") + cluster.received("b", "preprocess")
        assert max(received.values()) > 1, "no message came back while it was worked on"
