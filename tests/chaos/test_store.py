"""A store that fails, is slow, or cannot be read is tried again with pauses, up to a limit; no recording is at fault.

Slow: what failed is tried again after longer and longer pauses.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.schema.tables import Item, Job
from domain.reasons import ReasonCode
from domain.retry import MAX_FAULTS
from domain.states import RunState, State
from orchestrator.execution.run import retry_run
from orchestrator.progress import Snapshot
from tests.chaos.calm import Calm, assert_same, strips_in
from tests.chaos.machines import Machines, begun, machines
from tests.e2e.way import files

LEASE_S = 5.0


def n_faults(cluster: Machines, table: type[Item] | type[Job]) -> int:
    with cluster.session.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(table.faults))).scalar_one())


def test_a_store_that_fails_every_tenth_call_costs_pauses_and_nothing_else(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="store=10")
        seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        assert n_faults(cluster, Item) > 0


def test_a_store_that_is_slower_than_a_lease_is_waited_for_and_nothing_is_done_again(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url, lease_s=LEASE_S) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS=f"late={1.5 * LEASE_S}")
        seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.max(Item.attempts))).scalar_one() == 1
            longest_s = connection.execute(sa.select(sa.func.max(Item.finished_at - Item.started_at))).scalar_one()
        assert longest_s > LEASE_S, "no call of the store was slow"
        assert cluster.made() == undisturbed.each_once


def test_a_store_that_cannot_be_read_for_a_while_is_tried_again_and_costs_nothing_else(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    locked = tmp_path / "locked"
    locked.touch()

    def unlock(seen: Snapshot) -> None:
        """Once an attempt to pack has been given up for now."""
        if any("Permission denied" in str(job.reason) for job in seen.jobs):
            locked.unlink(missing_ok=True)

    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS=f"unreadable={locked}")
        seen = cluster.until_over(run, unlock)
        assert_same(cluster.session, seen, undisturbed)
        assert n_faults(cluster, Item) == 0, "strips are only written"
        assert n_faults(cluster, Job) > 0


@pytest.mark.long
def test_a_store_that_always_fails_ends_the_run_with_a_sentence_and_a_retry_makes_it_whole(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="store=1")
        seen = cluster.until_over(run, limit_s=900)
        assert seen.run.state == RunState.FAILED
        assert seen.items[State.FAILED] == 60
        assert seen.items[State.QUARANTINED] == 0, "a recording was blamed for the store"
        with cluster.session.database.read() as connection:
            [(reason, code)] = set(connection.execute(sa.select(Item.reason, Item.reason_code)).tuples())
        assert code == ReasonCode.MACHINE_FAULT
        assert reason == f"given up after {MAX_FAULTS} attempts: OSError: [Errno 5] Input/output error"
        assert files(cluster.session, "strips", "shards") == {}
        assert_whole_after_a_retry(cluster, run, undisturbed)


@pytest.mark.long
def test_a_store_that_cannot_be_read_ends_the_run_with_a_sentence_and_a_retry_completes_it(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    (tmp_path / "locked").touch()
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS=f"unreadable={tmp_path / 'locked'}")
        seen = cluster.until_over(run, limit_s=900)
        assert seen.run.state == RunState.FAILED
        assert seen.items[State.DONE] == 60
        given_up = f"given up after {MAX_FAULTS} attempts: PermissionError: [Errno 13] Permission denied"
        assert {job.reason for job in seen.jobs} == {given_up}
        assert files(cluster.session, "strips", "shards") == strips_in(undisturbed.files)
        assert_whole_after_a_retry(cluster, run, undisturbed)


def assert_whole_after_a_retry(cluster: Machines, run: int, undisturbed: Calm) -> None:
    """With a worker whose store is well."""
    cluster.stop("a")
    cluster.start_worker("a")
    retry_run(cluster.session, run)
    assert_same(cluster.session, cluster.until_over(run), undisturbed, n_forgotten=MAX_FAULTS)
