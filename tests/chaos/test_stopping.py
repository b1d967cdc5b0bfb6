"""A worker that is asked to stop ends what it holds; a cancelled run stops within seconds.

Slow: two workers start, one after the other.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.ledger import control
from db.schema.tables import Item
from domain.states import RunState, State
from orchestrator.progress import Snapshot, snapshot
from tests.chaos.calm import Calm, assert_same
from tests.chaos.machines import Machines, begun, machines
from tests.e2e.command import until


def at_work(cluster: Machines, run: int) -> Snapshot:
    """Waits until something is done and something else is under way."""
    seen = snapshot(cluster.session.database, run)

    def is_busy() -> bool:
        nonlocal seen
        seen = snapshot(cluster.session.database, run)
        return seen.items[State.DONE] > 0 and seen.items[State.RUNNING] > 0

    until(is_busy)
    return seen


def test_a_worker_asked_to_stop_ends_what_it_holds_and_nothing_is_done_again(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="slow=0.5")
        at_work(cluster, run)
        cluster.processes["a"].send_signal(signal.SIGTERM)
        assert cluster.processes["a"].wait(20) == 0
        left = snapshot(cluster.session.database, run).items
        assert left[State.RUNNING] == 0, "it left work half done"
        assert left[State.DONE] < sum(left.values())
        cluster.start_worker("a")
        assert_same(cluster.session, cluster.until_over(run), undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
        assert cluster.made() == undisturbed.each_once


@pytest.mark.long
def test_ten_seconds_after_a_run_is_cancelled_nothing_new_begins(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="slow=0.5")
        at_work(cluster, run)
        assert control.cancel(cluster.session.database, run)
        until(lambda: snapshot(cluster.session.database, run).items[State.RUNNING] == 0, within_s=10)
        began = attempts(cluster)
        time.sleep(3)
        assert attempts(cluster) == began
        assert snapshot(cluster.session.database, run).run.state == RunState.CANCELLED
        assert control.resume(cluster.session.database, run)
        # The attempts that were under way when the run was cancelled count against no item.
        assert_same(cluster.session, cluster.until_over(run), undisturbed, n_forgotten=1)


def attempts(cluster: Machines) -> int:
    with cluster.session.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(Item.attempts))).scalar_one())
