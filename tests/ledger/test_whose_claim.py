"""A claim belongs to one child process and one task; on SQLite and PostgreSQL."""

from __future__ import annotations

from db.engine import Database
from db.ledger import feeding
from db.queries import run_counts, status
from domain.retry import MAX_LOSSES
from domain.states import State
from domain.work import PlannedJob
from tests.ledger_rows import done, item_states, output, small_run
from tests.ledger_rows import expired as expire

PACK, TRAIN = PlannedJob("pack", fold=-1, subset=0), PlannedJob("train", "cnn", 0, -1)


def test_a_child_that_dies_late_loses_no_claim_of_another_child(database: Database) -> None:
    """The first child hung on a long message; its lease expired, and a second child of the worker claimed one item."""
    small = small_run(database)
    small.ledger("w1", process=1).claim_items(small.run, small.items)
    expire(small)
    neighbour = small.ledger("w1", process=2)
    claims = neighbour.claim_items(small.run, small.items[2:3])
    small.ledger("w1", process=1).record_item_crash(small.items, is_own=True, reason="still at work after 900 s")
    assert item_states(small) == [State.WAITING, State.WAITING, State.RUNNING, State.WAITING]
    assert run_counts.faults(small.database, small.run).crashes == 0
    assert neighbour.settle_items([done(claim) for claim in claims]) == 1


def test_a_child_that_dies_with_a_message_received_twice_loses_no_job_of_another_child(database: Database) -> None:
    small = small_run(database, 1, [TRAIN])
    [job] = status.jobs(database, small.run)
    claim = small.ledger("w1", process=1).claim_job(small.run, job.id, "train")
    assert claim is not None
    second = small.ledger("w1", process=2)
    assert second.claim_job(small.run, job.id, "train") is None
    second.record_job_crash(job.id, is_own=False, reason="signal 9 (SIGKILL)")
    assert small.ledger("w1", process=1).settle_job(claim, State.DONE, output=output(claim.kind))


def test_a_task_claims_no_job_of_another_kind(database: Database) -> None:
    small = small_run(database, 1, [PACK])
    [job] = status.jobs(database, small.run)
    for kind in ("train", "evaluate", "render"):
        assert small.ledger().claim_job(small.run, job.id, kind) is None
    assert status.jobs(database, small.run)[0].state == State.WAITING
    claim = small.ledger().claim_job(small.run, job.id, "pack")
    assert claim is not None
    assert claim.kind == "pack"


def test_an_orderly_end_of_a_worker_counts_against_no_item(database: Database) -> None:
    """More often than claims may be lost, as when the number of workers is reduced."""
    small = small_run(database, 2, [TRAIN])
    ledger = small.ledger("w1")
    for _ in range(MAX_LOSSES + 1):
        assert len(ledger.claim_items(small.run, small.items)) == 2
        assert feeding.release(database, "w1", is_orderly=True) == 2
    [batch] = feeding.take_batches(database, small.run, 5, 10.0)
    assert batch.items == small.items, "they may share a message, for none of them is suspected"
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    for _ in range(MAX_LOSSES + 1):
        [ready] = feeding.take_jobs(database)
        assert ledger.claim_job(small.run, ready.job, ready.kind) is not None
        assert feeding.release(database, "w1", is_orderly=True) == 1
    assert status.item_counts(database, small.run)[State.DONE] == 2
    assert run_counts.faults(database, small.run).named() == {}
