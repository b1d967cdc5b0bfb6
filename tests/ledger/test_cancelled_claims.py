"""Claims of a cancelled run end with it, whatever becomes of their holder; on SQLite and PostgreSQL alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import ItemClaim, Outcome
from db.queries import status
from db.schema.tables import Run
from domain.reasons import CANCELLED
from domain.states import RunState, State
from domain.work import PlannedJob
from tests.ledger_rows import DISK_FULL, SmallRun, counted_states, expired, item_states, small_run

Lose = Callable[[SmallRun, ItemClaim], object]

LOST: dict[str, Lose] = {
    "its lease runs out": lambda small, _: expired(small),
    "its child dies": lambda small, claim: small.ledger().record_item_crash(
        [claim.id], is_own=True, reason="signal 11"
    ),
    "its worker is killed": lambda small, _: feeding.release(small.database, "w1"),
    "its worker is asked to end": lambda small, _: feeding.release(small.database, "w1", is_orderly=True),
    "its stack is started anew": lambda small, _: feeding.begin_again(small.database),
    "its worker notices": lambda small, claim: small.ledger().settle_items(
        [Outcome(claim, State.CANCELLED, CANCELLED)]
    ),
    "its disk is full": lambda small, claim: small.ledger().settle_items([Outcome(claim, State.WAITING, DISK_FULL)]),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_an_item_of_a_cancelled_run_does_not_wait_for_ever(lose: Lose, database: Database) -> None:
    small = small_run(database, 1)
    [claim] = small.ledger().claim_items(small.run, small.items)
    control.cancel(database, small.run)
    lose(small, claim)
    assert item_states(small) == [State.CANCELLED]
    assert status.item_counts(database, small.run) == counted_states(small)
    control.resume(database, small.run)
    assert item_states(small) == [State.WAITING]


def test_an_item_given_up_and_resumed_in_between_has_met_no_fault(database: Database) -> None:
    small = small_run(database, 1)
    ledger = small.ledger()
    for _ in range(10):
        [claim] = ledger.claim_items(small.run, small.items)
        control.cancel(database, small.run)
        control.resume(database, small.run)
        ledger.settle_items([Outcome(claim, State.CANCELLED, CANCELLED)])
    assert item_states(small) == [State.WAITING]


def while_steered(small: SmallRun, state: RunState, ask: Callable[[], object]) -> None:
    """Asks while somebody who changes the run has not yet committed; the answer waits for the commit."""
    with ThreadPoolExecutor(1) as pool:
        with small.database.write() as connection:
            connection.execute(sa.update(Run).where(Run.id == small.run).values(state=state))
            asked = pool.submit(ask)
            time.sleep(0.5)
            assert not asked.done()
        asked.result(timeout=30)


def test_a_job_given_up_while_its_run_is_being_resumed_waits_again(database: Database) -> None:
    small = small_run(database, 1, [PlannedJob("pack", fold=-1, subset=0)])
    [job] = status.jobs(database, small.run)
    claim = small.ledger().claim_job(small.run, job.id, "pack")
    assert claim is not None
    control.cancel(database, small.run)
    ledger = small.ledger()
    while_steered(small, RunState.ACTIVE, lambda: ledger.settle_job(claim, State.CANCELLED, CANCELLED))
    [job] = status.jobs(database, small.run)
    assert (job.state, job.reason) == (State.WAITING, None)


def test_a_lease_that_runs_out_while_its_run_is_being_cancelled_ends_with_it(database: Database) -> None:
    small = small_run(database, 1)
    small.ledger(lease_s=0.01).claim_items(small.run, small.items)
    time.sleep(0.1)
    while_steered(small, RunState.CANCELLED, lambda: feeding.put_back_expired(database))
    assert item_states(small) == [State.CANCELLED]


def test_a_job_given_up_and_resumed_in_between_has_met_no_fault(database: Database) -> None:
    small = small_run(database, 1, [PlannedJob("pack", fold=-1, subset=0)])
    ledger = small.ledger()
    [job] = status.jobs(database, small.run)
    for _ in range(10):
        claim = ledger.claim_job(small.run, job.id, "pack")
        assert claim is not None
        control.cancel(database, small.run)
        control.resume(database, small.run)
        ledger.settle_job(claim, State.CANCELLED, CANCELLED)
    assert status.jobs(database, small.run)[0].state == State.WAITING
