"""What becomes of claims whose worker is gone, stopped or late; on SQLite and PostgreSQL alike."""

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


def test_one_item_that_holds_up_its_process_never_takes_the_others_of_its_message_along(database: Database) -> None:
    small = small_run(database)
    for _ in range(MAX_LOSSES + 1):
        for batch in feeding.take_batches(small.database, small.run, 10, 100.0):
            claims = small.ledger().claim_items(small.run, batch.items)
            if small.items[0] not in batch.items:
                small.ledger().settle_items([done(claim) for claim in claims])
        expire(small)
    assert item_states(small) == [State.QUARANTINED, *[State.DONE] * 3]


def test_messages_that_were_lost_are_put_back_so_many_at_a_time_and_those_of_paused_runs_never(
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


def test_what_somebody_holds_is_not_waited_for(postgres_url: str) -> None:
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


def test_curves_of_a_training_are_not_wiped_by_one_who_lost_it(database: Database) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    [job] = status.jobs(small.database, small.run)
    late = small.ledger("w1", lease_s=0.01).claim_job(small.run, job.id, "train")
    time.sleep(0.1)
    feeding.put_back_expired(small.database)
    holder = small.ledger("w2").claim_job(small.run, job.id, "train")
    assert late is not None
    assert holder is not None
    small.ledger("w2").write_metrics(holder, 1, {"loss": 0.5})
    small.ledger("w1").forget_metrics(late)
    assert list(status.metrics(small.database, job.id)) == [(1, "loss", 0.5)]
    small.ledger("w2").forget_metrics(holder)
    assert list(status.metrics(small.database, job.id)) == []


def test_who_wakes_after_its_lease_asks_before_it_goes_on(database: Database) -> None:
    """As after SIGSTOP: no heartbeat has beaten, and what was last heard of the claim is old."""
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
        "processes ended by a recording": 1,
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
        "of these noticed when their lease ran out": 1,
        "processes ended by a recording": 1,
    }, "what is tried again was met all the same"


def test_a_training_that_was_killed_three_times_says_so_though_it_finished_an_epoch_each_time(
    database: Database,
) -> None:
    small = small_run(database, 1, [PlannedJob("train", "cnn", 0, -1)])
    [job] = status.jobs(small.database, small.run)
    ledger = small.ledger()
    for _ in range(3):
        claim = ledger.claim_job(small.run, job.id, "train")
        assert claim is not None
        ledger.write_metrics(claim, 1, {"loss": 1.0})
        ledger.note_step_forward(claim)
        ledger.record_job_crash(job.id, is_own=False, reason="signal 9 (SIGKILL)")
    claim = ledger.claim_job(small.run, job.id, "train")
    assert claim is not None
    ledger.settle_job(claim, State.WAITING, NO_STORE)
    assert run_counts.faults(small.database, small.run).named() == {
        "attempts ended by a fault of the machine": 1,
        "claims lost with their worker": 3,
    }


def test_whoever_was_given_up_has_an_end_in_time_so_that_its_run_has_a_pace(database: Database) -> None:
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


def test_pauses_after_a_fault_double_and_are_drawn(database: Database) -> None:
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


def test_a_run_counts_what_was_lost_with_a_whole_stack_but_not_what_nobody_had_claimed(database: Database) -> None:
    small = small_run(database, 3)
    feeding.take_batches(small.database, small.run, 10, 60.0)
    small.ledger().claim_items(small.run, small.items[:2])
    feeding.begin_again(small.database)
    assert run_counts.faults(small.database, small.run).named() == {"claims lost with their worker": 2}


def test_a_strip_taken_out_while_another_run_counts_on_it_is_made_again(database: Database) -> None:
    first = small_run(database, 2)
    second = another_run(database, 2)
    first.ledger().settle_items([done(claim) for claim in first.ledger().claim_items(first.run, first.items)])
    claims = second.ledger().claim_items(second.run, second.items)
    assert [claim.is_made for claim in claims] == [True, True]
    integrity.forget_strips(database, [next(integrity.kept_strips(database)).id])
    assert integrity.lacking(database) == [first.run]
    second.ledger().settle_items([Outcome(claim, State.DONE) for claim in claims])
    assert item_states(first) == [State.FAILED, State.DONE]
    assert item_states(second) == [State.WAITING, State.DONE]


def test_a_fresh_stack_takes_up_what_a_dead_one_held_and_blames_nobody(database: Database) -> None:
    small = small_run(database, 3)
    for _ in range(MAX_LOSSES + 1):
        small.ledger().claim_items(small.run, small.items[:2])
        feeding.begin_again(small.database)
    assert item_states(small) == [State.WAITING] * 3
    assert status.item_counts(small.database, small.run) == counted_states(small)
