"""Claims whose worker is gone, suspended or late; on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import Outcome
from db.queries import integrity, run_counts, status
from db.queries.integrity import clock_s
from db.schema.tables import Item
from domain.retry import MAX_LOSSES
from domain.states import State
from domain.work import PlannedJob
from tasks.runtime.heartbeat import Heartbeat
from tests.ledger_rows import DISK_FULL, EMPTY, NO_STORE, another_run, counted_states, done, item_states, small_run
from tests.ledger_rows import expired as expire


def test_items_that_lost_their_lease_together_come_again_one_by_one(database: Database) -> None:
    small = small_run(database)
    small.ledger().claim_items(small.run, small.items)
    expire(small)
    assert [len(batch.items) for batch in feeding.take_batches(small.database, small.run, 10, 100.0)] == [1] * 4


def test_an_item_that_blocks_its_process_never_ends_the_others_of_its_message(database: Database) -> None:
    small = small_run(database)
    for _ in range(MAX_LOSSES + 1):
        for batch in feeding.take_batches(small.database, small.run, 10, 100.0):
            claims = small.ledger().claim_items(small.run, batch.items)
            if small.items[0] not in batch.items:
                small.ledger().settle_items([done(claim) for claim in claims])
        expire(small)
    assert item_states(small) == [State.QUARANTINED, *[State.DONE] * 3]


def test_lost_messages_are_put_back_in_limited_numbers_and_those_of_paused_runs_never(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_MOST_PUT_BACK", 3)
    small, other, paused = small_run(database), another_run(database, 2), another_run(database, 2)
    for run in (small, other, paused):
        feeding.take_batches(database, run.run, 10, 100.0)
    control.pause(database, paused.run)
    assert feeding.put_back_stale(database, Item, -1.0) == 5
    assert item_states(small) == [*[State.WAITING] * 3, State.SENT]
    assert [feeding.put_back_stale(database, Item, -1.0) for _ in range(2)] == [1, 0]
    for run, state in ((small, State.WAITING), (other, State.WAITING), (paused, State.SENT)):
        assert set(item_states(run)) == {state}
        assert status.item_counts(database, run.run) == counted_states(run)


def test_rows_that_another_transaction_holds_are_not_waited_for(postgres_url: str) -> None:
    database = Database(postgres_url)
    small = small_run(database)
    feeding.take_batches(database, small.run, 10, 100.0)
    with database.write() as claiming:
        claiming.exec_driver_sql(f"SELECT id FROM item WHERE id = {small.items[1]} FOR UPDATE")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(feeding.put_back_stale, database, Item, -1.0).result(timeout=20) == 3
    assert item_states(small) == [State.WAITING, State.SENT, State.WAITING, State.WAITING]
    database.close()


def test_items_of_a_worker_that_was_killed_come_again_one_by_one(database: Database) -> None:
    small = small_run(database)
    small.ledger("w1").claim_items(small.run, small.items)
    assert feeding.release(small.database, "w1") == 4
    assert [len(batch.items) for batch in feeding.take_batches(small.database, small.run, 10, 100.0)] == [1] * 4


def test_metrics_of_a_training_are_not_deleted_by_a_worker_that_lost_its_claim(database: Database) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    [job] = status.jobs(small.database, small.run)
    late = small.ledger("w1", lease_s=0.01).claim_job(small.run, job.id, "train")
    time.sleep(0.1)
    feeding.put_back_expired(small.database)
    holder = small.ledger("w2").claim_job(small.run, job.id, "train")
    assert late is not None
    assert holder is not None
    small.ledger("w2").write_metrics(holder, 1, {"loss": 0.5})
    small.ledger("w1").delete_metrics(late)
    assert list(status.metrics(small.database, job.id)) == [(1, "loss", 0.5)]
    small.ledger("w2").delete_metrics(holder)
    assert list(status.metrics(small.database, job.id)) == []


def test_a_worker_that_wakes_after_its_lease_asks_the_ledger_before_it_continues(database: Database) -> None:
    """As after SIGSTOP: no heartbeat ran, and the last renewal of the claim is old."""
    small = small_run(database)
    claims = small.ledger(lease_s=0.2).claim_items(small.run, small.items)
    stopped = Heartbeat(small.ledger(lease_s=0.2), claims)
    assert stopped.still_held() == set(small.items)
    time.sleep(0.3)
    feeding.put_back_expired(small.database)
    assert stopped.still_held() == frozenset()


def test_a_run_counts_the_faults_it_met(database: Database) -> None:
    small = small_run(database)
    assert run_counts.faults(small.database, small.run).named() == {}
    first, second, third = small.ledger("w1").claim_items(small.run, small.items[:3])
    small.ledger("w1").settle_items([
        Outcome(first, State.WAITING, DISK_FULL),
        Outcome(second, State.QUARANTINED, EMPTY),
    ])  # fmt: skip
    small.ledger("w1").record_item_crash([third.id], is_own=True, reason="signal 11 (SIGSEGV)")
    small.ledger("w1").claim_items(small.run, small.items[3:])
    feeding.release(small.database, "w1")
    assert run_counts.faults(small.database, small.run).named() == {
        "attempts ended by a fault of the machine": 1,
        "claims lost with their worker": 1,
        "processes crashed": 1,
        "items quarantined": 1,
    }
    small.ledger("w1").claim_items(small.run, small.items[3:])
    expire(small)
    feeding.take_batches(small.database, small.run, 10, 100.0)
    control.cancel(small.database, small.run)
    control.retry(small.database, small.run)
    assert run_counts.faults(small.database, small.run).named() == {
        "attempts ended by a fault of the machine": 1,
        "claims lost with their worker": 2,
        "of these detected when the lease expired": 1,
        "processes crashed": 1,
    }, "what is tried again was met all the same"


def test_a_training_killed_three_times_reports_it_although_it_finished_an_epoch_each_time(
    database: Database,
) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    [job] = status.jobs(small.database, small.run)
    ledger = small.ledger()
    for _ in range(3):
        claim = ledger.claim_job(small.run, job.id, "train")
        assert claim is not None
        ledger.write_metrics(claim, 1, {"loss": 1.0})
        ledger.reset_failure_counts(claim)
        ledger.record_job_crash(job.id, is_own=False, reason="signal 9 (SIGKILL)")
    claim = ledger.claim_job(small.run, job.id, "train")
    assert claim is not None
    ledger.settle_job(claim, State.WAITING, NO_STORE)
    assert run_counts.faults(small.database, small.run).named() == {
        "attempts ended by a fault of the machine": 1,
        "claims lost with their worker": 3,
    }


def test_items_given_up_have_an_end_time_so_that_their_run_has_a_rate(database: Database) -> None:
    small = small_run(database, 2)
    for _ in range(MAX_LOSSES):
        small.ledger().claim_items(small.run, small.items[:1])
        expire(small)
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items[1:])])
    with database.write() as connection:
        connection.exec_driver_sql(f"UPDATE item SET started_at = started_at - 600 WHERE id = {small.items[0]}")
    rates = run_counts.rates(small.database, small.run)
    width_s = rates[1][0] - rates[0][0]
    assert sum(rate for _, rate in rates) * width_s > 0.99


def test_pauses_after_a_fault_double_and_are_random(database: Database) -> None:
    small = small_run(database, 20)
    for doubled in (1, 2, 4):
        claims = small.ledger().claim_items(small.run, small.items)
        now_s = clock_s(database)
        small.ledger().settle_items([Outcome(claim, State.WAITING, DISK_FULL) for claim in claims])
        with database.read() as connection:
            retried_at = connection.exec_driver_sql("SELECT retry_at FROM item").scalars().all()
        pauses_s = [at_s - now_s for at_s in retried_at]
        assert len(set(pauses_s)) > 10
        assert all(2 * doubled <= pause_s < 3 * doubled + 1 for pause_s in pauses_s), pauses_s


def test_a_run_counts_claims_lost_with_a_whole_stack_but_not_unclaimed_work(database: Database) -> None:
    small = small_run(database, 3)
    feeding.take_batches(small.database, small.run, 10, 60.0)
    small.ledger().claim_items(small.run, small.items[:2])
    feeding.requeue_all(small.database)
    assert run_counts.faults(small.database, small.run).named() == {"claims lost with their worker": 2}


def test_a_strip_removed_while_another_run_relies_on_it_is_made_again(database: Database) -> None:
    first = small_run(database, 2)
    second = another_run(database, 2)
    first.ledger().settle_items([done(claim) for claim in first.ledger().claim_items(first.run, first.items)])
    claims = second.ledger().claim_items(second.run, second.items)
    assert [claim.is_made for claim in claims] == [True, True]
    integrity.delete_strip_rows(database, [next(integrity.ledger_strips(database)).id])
    assert integrity.runs_with_lost_files(database) == [first.run]
    second.ledger().settle_items([Outcome(claim, State.DONE) for claim in claims])
    assert item_states(first) == [State.FAILED, State.DONE]
    assert item_states(second) == [State.WAITING, State.DONE]


def test_a_new_stack_continues_the_work_of_a_dead_one_and_counts_nothing_against_it(database: Database) -> None:
    small = small_run(database, 3)
    for _ in range(MAX_LOSSES + 1):
        small.ledger().claim_items(small.run, small.items[:2])
        feeding.requeue_all(small.database)
    assert item_states(small) == [State.WAITING] * 3
    assert status.item_counts(small.database, small.run) == counted_states(small)
