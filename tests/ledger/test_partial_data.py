"""Items that failed by a fault of the machine: no model is trained on the rest; on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import Outcome
from db.ledger.transitions import lock, move
from db.queries import status
from db.schema.tables import Item
from db.store.folder import FolderStore
from domain.reasons import ReasonCode
from domain.retry import MAX_FAULTS
from domain.states import RunState, State
from domain.work import PlannedJob
from orchestrator.cli.terminal import result_lines
from orchestrator.monitoring.summary import summary
from settings import Settings
from tests.ledger_rows import EMPTY, NO_STORE, SmallRun, done, item_states, output, small_run

JOBS = (
    PlannedJob("pack", fold=-1, subset=0),
    PlannedJob("train", "cnn", 0, -1, needs=(0,)),
    PlannedJob("render", needs=(0, 1), even_failed=True),
)


def outage(small: SmallRun) -> None:
    """The first item is quarantined, the next two find no store until they are given up, the others are done."""
    ledger = small.ledger()
    empty, *lost = ledger.claim_items(small.run, small.items[:3])
    ledger.settle_items([Outcome(empty, State.QUARANTINED, EMPTY)])
    for _ in range(MAX_FAULTS):
        ledger.settle_items([Outcome(claim, State.WAITING, NO_STORE) for claim in lost])
        lost = ledger.claim_items(small.run, small.items[1:3])
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items[3:])])
    assert item_states(small) == [State.QUARANTINED, State.FAILED, State.FAILED, State.DONE]


def test_nothing_is_packed_or_trained_while_items_failed_and_a_retry_makes_all_of_it(
    database: Database, tmp_path: Path
) -> None:
    small = small_run(database, 4, JOBS)
    outage(small)
    assert feeding.take_jobs(database) == [], "held back before anybody has called them off"
    assert feeding.cancel_blocked_jobs(database) == 2
    pack, train, render = status.jobs(database, small.run)
    assert pack.state == train.state == State.CANCELLED
    assert pack.reason_code == ReasonCode.ITEMS_FAILED
    assert pack.reason == (
        f"2 items failed: given up after {MAX_FAULTS} attempts: OSError: no store; "
        f"`orchestrator retry {small.run}` tries again"
    )
    [ready] = feeding.take_jobs(database)
    assert ready.job == render.id, "a report is written all the same"
    ledger = small.ledger()
    claim = ledger.claim_job(small.run, ready.job, ready.kind)
    assert claim is not None
    ledger.settle_job(claim, State.DONE, output=output(claim.kind, "r"))
    assert feeding.close_runs(database) == [small.run]
    assert summary(database, FolderStore(tmp_path), small.run)["state"] == RunState.FAILED

    assert control.retry(database, small.run) == 6
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    assert feeding.cancel_blocked_jobs(database) == 0
    assert [ready.kind for ready in feeding.take_jobs(database)] == ["pack"]


def test_a_quarantined_item_blocks_no_job(database: Database) -> None:
    small = small_run(database, 2, JOBS)
    ledger = small.ledger()
    good, bad = ledger.claim_items(small.run, small.items)
    ledger.settle_items([done(good), Outcome(bad, State.QUARANTINED, EMPTY)])
    assert feeding.cancel_blocked_jobs(database) == 0
    assert [ready.kind for ready in feeding.take_jobs(database)] == ["pack"]


def test_jobs_are_not_cancelled_while_items_are_still_open(database: Database) -> None:
    small = small_run(database, 4, JOBS)
    outage(small)
    with database.write() as connection:
        move(connection, Item, lock(connection, Item, Item.id == small.items[3]), State.WAITING)
    assert feeding.cancel_blocked_jobs(database) == 0
    assert [job.state for job in status.jobs(database, small.run)] == [State.WAITING] * 3


def test_what_failed_is_not_said_to_be_quarantined(database: Database, tmp_path: Path) -> None:
    small = small_run(database, 4, JOBS)
    outage(small)
    found = summary(database, FolderStore(tmp_path), small.run)
    assert found["quarantined"] == [{"recording": "a/0.ogg", "reason": "empty: 0 samples", "reason_code": "empty"}]
    reason = f"given up after {MAX_FAULTS} attempts: OSError: no store"
    assert found["failed"] == [
        {"recording": f"a/{number}.ogg", "reason": reason, "reason_code": "machine_fault"} for number in (1, 2)
    ]
    lines = result_lines(found, Settings().command)
    at = lines.index(f"failed; `orchestrator retry {small.run}` tries again:")
    assert lines[at + 1 :] == [f"  a/{number}.ogg: {reason}" for number in (1, 2)]
    assert lines[at - 2 : at] == ["not used:", "  a/0.ogg: empty: 0 samples"]
