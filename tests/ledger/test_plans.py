"""Plans that are discarded or finished, and what a later plan knows from an earlier one; on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db.engine import Database, now_s
from db.ledger import feeding, planning
from db.ledger.claims import Outcome
from db.queries.integrity import stuck_work
from db.schema.tables import Run
from domain.errors import Changed, Empty, Missing, Outside, Unusable
from domain.retry import MAX_CRASHES, MAX_LOSSES, event_of
from domain.states import RunState, State
from tests.ledger_rows import SmallRun, another_run, expired, item_states, small_run

_DAY_S = 86_400.0


def test_a_run_that_was_planned_to_its_end_in_the_meantime_is_not_discarded(database: Database) -> None:
    small = small_run(database, 3)
    assert not planning.discard_run(database, small.run)
    assert item_states(small) == [State.WAITING] * 3
    with database.read() as connection:
        assert connection.execute(sa.select(Run.state).where(Run.id == small.run)).scalar_one() == RunState.ACTIVE


def test_a_plan_in_progress_is_not_taken_for_a_dead_one(database: Database) -> None:
    small_run(database, 1)
    young, old = (planning.begin_run(database, 1, 1, {}) for _ in range(2))
    with database.write() as connection:
        connection.execute(sa.update(Run).where(Run.id == old).values(created_at=now_s() - _DAY_S - 60))
    assert stuck_work(database, _DAY_S).planning_runs == (old,)
    assert stuck_work(database, 0.0).planning_runs == (young, old)


def next_states(small: SmallRun) -> list[str]:
    return item_states(another_run(small.database, len(small.items)))


@pytest.mark.parametrize(("error", "state"), [
    (Empty("0 samples"), State.QUARANTINED),
    (Missing("x"), State.WAITING),
    (Changed("x"), State.WAITING),
    (Outside("x"), State.WAITING),
])  # fmt: skip
def test_a_later_run_inherits_faults_of_the_bytes_but_not_of_the_file(
    error: Unusable, state: State, database: Database
) -> None:
    small = small_run(database, 1)
    [claim] = small.ledger().claim_items(small.run, small.items)
    small.ledger().settle_items([Outcome(claim, State.QUARANTINED, event_of(error).reason)])
    assert next_states(small) == [state]


def test_a_later_run_retries_items_that_lost_their_workers(database: Database) -> None:
    small = small_run(database, 2)
    hanging, unlucky = small.items
    for _ in range(MAX_CRASHES):
        small.ledger().claim_items(small.run, [hanging])
        small.ledger().record_item_crash([hanging], is_own=True, reason="still at work after 900 s")
    for _ in range(MAX_LOSSES):
        small.ledger().claim_items(small.run, [unlucky])
        expired(small)
    assert item_states(small) == [State.QUARANTINED] * 2
    assert feeding.close_runs(database) == [small.run]
    assert next_states(small) == [State.WAITING] * 2
