"""Processes killed at random moments: nothing is lost, nothing is done twice, nobody innocent is blamed."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from orchestrator.watch import Snapshot
from tests.chaos.machines import Calm, assert_same, drawn, machines, submitted

pytestmark = pytest.mark.chaos

WHO = ("child", "child", "worker", "dispatcher", "watch")


@pytest.mark.parametrize("n_kills", [12, pytest.param(60, marks=pytest.mark.long)])
def test_kills_at_random_moments_change_nothing(
    n_kills: int, tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    random = drawn()
    killed: Counter[str] = Counter()
    slow_s = 0.03 * n_kills

    with machines(tmp_path, redis_url) as cluster:
        run = submitted(cluster, undisturbed.data)
        next_s, who = time.monotonic(), random.choice(WHO)

        def kill(seen: Snapshot) -> None:
            nonlocal next_s, who
            if killed.total() >= n_kills or time.monotonic() < next_s:
                return
            name = who if who in cluster.processes else random.choice(["a", "b"])
            found = cluster.children(name) if who == "child" else [cluster.processes[name].pid]
            if found:  # a child that was drawn is waited for while its worker starts
                os.kill(random.choice(found), signal.SIGKILL)
                killed[who] += 1
                next_s, who = time.monotonic() + random.uniform(0.1, 1.5), random.choice(WHO)

        for name in ("a", "b"):
            cluster.start_worker(name, CHAOS=f"slow={slow_s}")
        cluster.start_dispatcher()
        cluster.start_command("watch", "watch", str(run))
        seen = cluster.until_over(run, kill, limit_s=600)
        assert_same(cluster.session, seen, undisturbed)
    print(dict(killed))
    assert killed.total() >= n_kills
    assert killed["child"] > 0
