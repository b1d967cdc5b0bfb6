"""A store that fails: tried again after a pause, up to a bound, and never the recording's fault."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.states import MAX_FAULTS, RunState, State
from db.tables import Item
from tests.chaos.machines import Calm, assert_same, begun, files, machines

pytestmark = pytest.mark.chaos


def test_a_store_that_fails_every_tenth_call_costs_pauses_and_nothing_else(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="store=10")
        seen = cluster.until_over(run)
        assert_same(cluster.session, seen, undisturbed)
        with cluster.session.database.read() as connection:
            assert connection.execute(sa.select(sa.func.sum(Item.faults))).scalar_one() > 0


@pytest.mark.long
def test_a_store_that_always_fails_ends_the_run_with_a_sentence_and_room_for_a_retry(
    tmp_path: Path, redis_url: str, undisturbed: Calm
) -> None:
    with machines(tmp_path, redis_url) as cluster:
        run = begun(cluster, undisturbed.data, CHAOS="store=1")
        seen = cluster.until_over(run, limit_s=900)
        assert seen.run.state == RunState.FAILED
        assert seen.items[State.FAILED] == 60
        assert seen.items[State.QUARANTINED] == 0, "a recording was blamed for the store"
        with cluster.session.database.read() as connection:
            [reason] = set(connection.scalars(sa.select(Item.reason)))
        assert reason == f"given up after {MAX_FAULTS} attempts: OSError: [Errno 5] Input/output error"
        assert files(cluster.session, "strips", "shards") == {}
