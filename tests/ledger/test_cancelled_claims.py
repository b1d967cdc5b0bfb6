"""Claims of a cancelled run end with it, however their holder ends; on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from orchestrator.execution.local_processes import ChildProcess, LocalProcesses
from settings import Settings
from tests.ledger_rows import DISK_FULL, SmallRun, counted_states, expired, item_states, small_run

Lose = Callable[[SmallRun, ItemClaim], object]

LOST: dict[str, Lose] = {
    "its lease runs out": lambda small, _: expired(small),
    "its child dies": lambda small, claim: small.ledger().record_item_crash(
        [claim.id], is_own=True, reason="signal 11"
    ),
    "its worker is killed": lambda small, _: feeding.release(small.database, "w1"),
    "its worker is asked to end": lambda small, _: feeding.release(small.database, "w1", is_orderly=True),
    "its stack is restarted": lambda small, _: feeding.requeue_all(small.database),
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
    """Asks while a transaction that changes the run is open; the answer waits for its commit."""
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


def test_a_training_does_not_stay_running_when_the_command_of_its_cancelled_run_ends(
    database: Database, tmp_path: Path
) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    [job] = status.jobs(database, small.run)
    assert small.ledger("gpu-1").claim_job(small.run, job.id, "train") is not None
    processes = LocalProcesses(Settings(home=tmp_path), database)
    with subprocess.Popen(["sleep", "60"]) as worker:
        processes._workers["gpu"] = ChildProcess("gpu-1", (), {}, worker)
        control.cancel(database, small.run)
        processes.__exit__()
    assert [each.state for each in status.jobs(database, small.run)] == [State.CANCELLED]
