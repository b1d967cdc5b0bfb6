"""Processes killed at random moments: nothing is lost, nothing is done twice, and no innocent recording is blamed.

Slow: each process that is killed has to start again, and what it held waits for the end of its lease.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.queries.status import run_lines
from db.schema.tables import Item, Recording
from domain.states import RunState
from orchestrator.progress import Snapshot
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import Machines, children_of, drawn, machines, submitted
from tests.e2e.command import until

APART = ("child", "child", "worker", "dispatcher", "watch")
TOGETHER = ("child", "child", "worker", "broker", "command")


class Killer:
    """Ends a process at random moments, each kind as often as it is named, in a drawn order.

    found: the ids of the living processes of a kind, one of which is drawn; while there is none it is waited for.
    """

    def __init__(self, kinds: tuple[str, ...], n_kills: int, found: Callable[[str], list[int]]) -> None:
        self._draw, self._found, self._next_s = drawn(), found, time.monotonic()
        self._left = [kinds[number % len(kinds)] for number in range(n_kills)]
        self._draw.shuffle(self._left)
        self.killed = Counter[str]()

    def __call__(self, seen: Snapshot) -> None:
        if not self._left or time.monotonic() < self._next_s:
            return
        if found := self._found(self._left[-1]):
            os.kill(self._draw.choice(found), signal.SIGKILL)
            self.killed[self._left.pop()] += 1
            self._next_s = time.monotonic() + self._draw.uniform(0.1, 1.5)


def assert_nothing_was_made_without_a_claim(cluster: Machines) -> None:
    """Each recording at least once, and no oftener than it was claimed."""
    claimed = sa.select(Recording.uri, Item.attempts).join(Item, Item.recording_id == Recording.id)
    with cluster.session.database.read() as connection:
        attempts = {row.uri: row.attempts for row in connection.execute(claimed)}
    made = cluster.made()
    assert set(made) == set(attempts)
    assert {uri: n for uri, n in made.items() if n > attempts[uri]} == {}


@pytest.mark.parametrize("n_kills", [12, pytest.param(60, marks=pytest.mark.long)])
def test_kills_at_random_moments_change_nothing(
    n_kills: int, tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = submitted(cluster, undisturbed.data)

        def found(kind: str) -> list[int]:
            if kind == "child":
                return [*cluster.children("a"), *cluster.children("b")]
            names = ("a", "b") if kind == "worker" else (kind,)
            return [cluster.processes[name].pid for name in names]

        kill = Killer(APART, n_kills, found)
        for name in ("a", "b"):
            cluster.start_worker(name, CHAOS=f"slow={0.03 * n_kills}")
        cluster.start_dispatcher()
        cluster.start_command("watch", "watch", str(run))
        seen = cluster.until_over(run, kill, limit_s=600)
        print(dict(kill.killed))
        assert kill.killed.total() == n_kills
        assert_same(cluster.session, seen, undisturbed)
        assert_nothing_was_made_without_a_claim(cluster)


@pytest.mark.parametrize("n_kills", [5, pytest.param(55, marks=pytest.mark.long)])
def test_a_command_that_does_it_all_is_killed_with_its_processes_and_resumed_and_nothing_changes(
    n_kills: int, tmp_path: Path, undisturbed: Calm
) -> None:
    """`orchestrator run` is dispatcher and command line in one, and parent of the broker and the worker."""
    with machines(tmp_path, "") as cluster:
        run, chaos = 1, f"slow={0.3 + 0.012 * n_kills}"

        def found(kind: str) -> list[int]:
            command = cluster.processes["command"].pid
            if kind == "command":
                return [command]
            if kind == "broker":
                return children_of(command, running=b"unixsocket")
            workers = children_of(command, running=b"celery")
            return workers if kind == "worker" else [child for worker in workers for child in children_of(worker)]

        kill = Killer(TOGETHER, n_kills, found)
        cluster.start_command("command", "run", str(undisturbed.data), "--until", "pack", CHAOS=chaos)
        until(lambda: any(line.state == RunState.ACTIVE for line in run_lines(cluster.session.database)))
        cluster.restart_as("command", "resume", str(run))
        seen = cluster.until_over(run, kill, limit_s=800)
        print(dict(kill.killed))
        assert kill.killed.total() == n_kills
        assert cluster.processes["command"].wait(30) == 0
        assert len(run_lines(cluster.session.database)) == 1
        assert_same(cluster.session, seen, undisturbed, n_forgotten=kill.killed["command"])
        assert_nothing_was_made_without_a_claim(cluster)
