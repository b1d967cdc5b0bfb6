"""The claim protocol, on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from db.engine import Database
from db.ledger import control, feeding, planning
from db.ledger.claims import Outcome
from db.queries import status
from db.queries.job_inputs import needed_results, results
from db.schema.tables import Item
from domain.reasons import CANCELLED, Reason, ReasonCode
from domain.retry import MAX_CRASHES, MAX_FAULTS
from domain.states import RunState, State
from domain.work import PlannedJob
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.progress import snapshot
from settings import Settings
from tests.ledger_rows import (
    DISK_FULL,
    EMPTY,
    another_run,
    counted_states,
    done,
    item_states,
    output,
    recording,
    small_run,
)

PACK, TRAIN, RENDER = (
    PlannedJob("pack", fold=-1, subset=0),
    PlannedJob("train", "cnn", 0, -1, needs=(0,)),
    PlannedJob("render", needs=(0, 1), even_failed=True),
)


def test_a_claimed_item_cannot_be_claimed_by_another_worker(database: Database) -> None:
    small = small_run(database)
    first = small.ledger("w1").claim_items(small.run, small.items)
    second = small.ledger("w2").claim_items(small.run, small.items)
    assert [claim.id for claim in first] == list(small.items)
    assert second == []


def test_a_claim_carries_what_the_work_needs(database: Database) -> None:
    small = small_run(database)
    [claim] = small.ledger().claim_items(small.run, small.items[:1])
    assert (claim.root, claim.uri, claim.digest) == ("/data", "a/0.ogg", f"{0:064x}")
    assert (claim.span, claim.copy, claim.fence, claim.is_made) == (0, 0, 1, False)


def test_done_items_leave_an_artifact_and_are_done_in_the_next_run_too(database: Database) -> None:
    small = small_run(database)
    ledger = small.ledger()
    assert ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)]) == len(
        small.items
    )
    assert item_states(small) == [State.DONE] * 4
    assert item_states(another_run(small.database, 4)) == [State.DONE] * 4


def test_a_quarantined_recording_stays_so_in_the_next_run_unless_it_was_only_missing(database: Database) -> None:
    small = small_run(database, 2)
    ledger = small.ledger()
    broken, gone = ledger.claim_items(small.run, small.items)
    ledger.settle_items(
        [
            Outcome(broken, State.QUARANTINED, EMPTY),
            Outcome(gone, State.QUARANTINED, Reason(ReasonCode.MISSING, "missing: x")),
        ]
    )
    assert item_states(another_run(small.database, 2)) == [State.QUARANTINED, State.WAITING]


def test_a_worker_that_lost_its_lease_writes_nothing(database: Database) -> None:
    small = small_run(database, 1)
    slow = small.ledger("slow", lease_s=0.01)
    [stale] = slow.claim_items(small.run, small.items)
    time.sleep(0.05)
    assert feeding.put_back_expired(small.database) == 1
    fast = small.ledger("fast")
    [fresh] = fast.claim_items(small.run, small.items)
    assert slow.renew([stale]) == frozenset()
    assert slow.settle_items([Outcome(stale, State.QUARANTINED, EMPTY)]) == 0
    assert fast.settle_items([done(fresh)]) == 1
    assert item_states(small) == [State.DONE]


def test_a_renewed_lease_does_not_run_out(database: Database) -> None:
    small = small_run(database, 1)
    ledger = small.ledger(lease_s=0.3)
    claims = ledger.claim_items(small.run, small.items)
    for _ in range(4):
        time.sleep(0.15)
        assert ledger.renew(claims) == {claims[0].id}
        assert feeding.put_back_expired(small.database) == 0


def test_the_machines_faults_are_retried_with_growing_pauses_and_never_quarantine(database: Database) -> None:
    small = small_run(database, 1)
    ledger = small.ledger()
    for attempt in range(MAX_FAULTS):
        assert item_states(small) == [State.WAITING], attempt
        [claim] = ledger.claim_items(small.run, small.items)
        ledger.settle_items([Outcome(claim, State.WAITING, DISK_FULL)])
        assert feeding.take_batches(small.database, small.run, 10, 1.0) == []
    assert item_states(small) == [State.FAILED]


def test_the_counters_always_equal_the_rows(database: Database) -> None:
    small = small_run(database, 6)
    ledger = small.ledger()
    feeding.take_batches(small.database, small.run, 1, 0.35)
    one, two, three = ledger.claim_items(small.run, small.items[:3])
    ledger.settle_items([done(one), Outcome(two, State.QUARANTINED, EMPTY), Outcome(three, State.WAITING, DISK_FULL)])
    ledger.claim_items(small.run, small.items[3:5])
    feeding.release(small.database, "w1")
    for steer in (control.cancel, control.resume, control.cancel, control.retry):
        assert steer(small.database, small.run)
        assert status.item_counts(small.database, small.run) == counted_states(small)
    assert status.recording_counts(small.database, small.run)["total"] == 6
    assert counted_states(small)[State.WAITING] == 5


def test_many_threads_claim_every_item_exactly_once(database: Database) -> None:
    small = small_run(database, 60)

    def claim_some(worker: int) -> list[int]:
        ledger, found = small.ledger(f"w{worker}"), []
        for start in range(0, 60, 5):
            claims = ledger.claim_items(small.run, small.items[start : start + 5])
            ledger.settle_items([done(claim) for claim in claims])
            found += [claim.id for claim in claims]
        return found

    with ThreadPoolExecutor(4) as pool:
        claimed = [item for found in pool.map(claim_some, range(4)) for item in found]
    assert sorted(claimed) == list(small.items)
    assert status.item_counts(small.database, small.run) == counted_states(small)
    assert item_states(small) == [State.DONE] * 60


def test_what_was_sent_and_lost_is_sent_again(database: Database) -> None:
    small = small_run(database)
    [batch] = feeding.take_batches(small.database, small.run, 5, 10.0)
    assert batch.items == small.items
    assert feeding.take_batches(small.database, small.run, 5, 10.0) == []
    assert feeding.put_back_stale(small.database, Item, 60.0) == 0
    assert feeding.put_back_stale(small.database, Item, -1.0) == len(small.items)
    assert feeding.take_batches(small.database, small.run, 5, 10.0) == [batch]


def test_jobs_come_in_the_order_of_their_needs(database: Database) -> None:
    small = small_run(database, 1, [PACK, TRAIN, RENDER])
    ledger = small.ledger()
    assert feeding.take_jobs(small.database) == []
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    for kind in ("pack", "train", "render"):
        [ready] = feeding.take_jobs(small.database)
        assert ready.kind == kind
        claim = ledger.claim_job(small.run, ready.job, ready.kind)
        assert claim is not None
        assert ledger.claim_job(small.run, ready.job, ready.kind) is None
        assert feeding.take_jobs(small.database) == []
        assert ledger.settle_job(claim, State.DONE, output=output(claim.kind, kind))
    assert feeding.close_runs(small.database) == [small.run]
    assert feeding.close_runs(small.database) == []
    assert snapshot(small.database, small.run).run.state == RunState.DONE


class Queues(Sender):
    """A broker that keeps what it is sent; the front of a queue is taken by hand."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[tuple[int, str]]] = {"cpu": [], "gpu": []}

    def queued(self, queue: str) -> int:
        return len(self.waiting[queue])

    def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
        self.waiting[queue] += [(message.ids["job"], task) for message in messages]
        return len(messages)


def test_a_model_is_evaluated_before_the_next_but_one_is_trained(database: Database) -> None:
    jobs = [
        job
        for fold in range(3)
        for job in (PlannedJob("train", "cnn", 0, fold), PlannedJob("evaluate", "cnn", 0, fold, needs=(2 * fold,)))
    ]
    small = small_run(database, 1, jobs)
    ledger, queues, order = small.ledger(), Queues(), []
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    dispatcher = Dispatcher(small.database, queues, Settings())
    for _ in jobs:
        dispatcher.step()
        dispatcher.step()
        assert queues.queued("gpu") == 1
        claim = ledger.claim_job(small.run, *queues.waiting["gpu"].pop())
        assert claim is not None
        dispatcher.step()  # while it works another one waits
        order.append((claim.kind, claim.fold))
        ledger.settle_job(claim, State.DONE, output=output(claim.kind))
    assert sorted(order) == sorted((job.kind, job.fold) for job in jobs)
    assert order.index(("evaluate", 0)) < order.index(("train", 2))


def test_a_failed_job_cancels_those_that_need_it_but_not_the_report(database: Database) -> None:
    small = small_run(database, 1, [PACK, TRAIN, RENDER])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    [pack] = feeding.take_jobs(small.database)
    claim = ledger.claim_job(small.run, pack.job, pack.kind)
    assert claim is not None
    ledger.settle_job(claim, State.FAILED, Reason(ReasonCode.IMPOSSIBLE, "no usable recording"))
    assert feeding.cancel_blocked_jobs(small.database) == 1
    [ready] = feeding.take_jobs(small.database)
    assert ready.kind == "render"
    report = ledger.claim_job(small.run, ready.job, ready.kind)
    assert report is not None
    ledger.settle_job(report, State.DONE, output=output(report.kind, "r"))
    feeding.close_runs(small.database)
    assert snapshot(small.database, small.run).run.state == RunState.FAILED


def test_nothing_of_a_paused_run_is_sent_or_claimed_until_it_is_resumed(database: Database) -> None:
    small = small_run(database)
    control.pause(small.database, small.run)
    assert feeding.take_batches(small.database, small.run, 5, 10.0) == []
    assert small.ledger().claim_items(small.run, small.items) == []
    assert control.resume(small.database, small.run)
    assert len(small.ledger().claim_items(small.run, small.items)) == 4


def test_a_cancelled_run_loses_its_claims_and_can_be_resumed(database: Database) -> None:
    small = small_run(database, 2)
    claims = small.ledger().claim_items(small.run, small.items[:1])
    assert control.cancel(small.database, small.run)
    assert not control.cancel(small.database, small.run)
    assert small.ledger().renew(claims) == frozenset()
    assert item_states(small) == [State.RUNNING, State.CANCELLED]
    assert control.resume(small.database, small.run)
    assert item_states(small) == [State.RUNNING, State.WAITING]


def test_retry_puts_back_what_did_not_succeed_and_resets_its_counts(database: Database) -> None:
    small = small_run(database, 2)
    ledger = small.ledger()
    good, bad = ledger.claim_items(small.run, small.items)
    ledger.settle_items([done(good), Outcome(bad, State.QUARANTINED, EMPTY)])
    feeding.close_runs(small.database)
    assert control.retry(small.database, small.run) == 1
    assert item_states(small) == [State.DONE, State.WAITING]
    assert snapshot(small.database, small.run).run.state == RunState.ACTIVE


def test_a_run_without_one_usable_recording_failed(database: Database) -> None:
    small = small_run(database, 1)
    [claim] = small.ledger().claim_items(small.run, small.items)
    small.ledger().settle_items([Outcome(claim, State.QUARANTINED, EMPTY)])
    feeding.close_runs(small.database)
    assert snapshot(small.database, small.run).run.state == RunState.FAILED


def test_a_discarded_plan_leaves_nothing(database: Database) -> None:
    small = small_run(database, 1)
    run = planning.begin_run(small.database, 1, 1, {})
    assert planning.discard_run(small.database, run)
    assert [line.id for line in status.run_lines(small.database)] == [small.run]


def test_a_recording_with_other_facts_is_another_row_and_the_newest_is_known(database: Database) -> None:
    small = small_run(database, 1)
    changed = recording(0)._replace(digest="e" * 64, size_bytes=7)
    first = list(planning.ensure_recordings(small.database, 1, [recording(0)]))
    second = list(planning.ensure_recordings(small.database, 1, [changed]))
    assert first != second
    assert planning.known_files(small.database, 1, ["a/0.ogg"])["a/0.ogg"].digest == "e" * 64


def test_metrics_are_written_once_an_epoch_and_replaced_when_written_again(database: Database) -> None:
    small = small_run(database, 1, [PACK])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    claim = ledger.claim_job(small.run, feeding.take_jobs(small.database)[0].job, "pack")
    assert claim is not None
    ledger.write_metrics(claim, 1, {"loss": 2.0})
    ledger.write_metrics(claim, 1, {"loss": 1.0, "accuracy": 0.5})
    assert list(status.metrics(small.database, claim.id)) == [(1, "accuracy", 0.5), (1, "loss", 1.0)]


def test_a_variant_goes_with_its_job_from_the_plan_to_the_claim_and_to_dependent_jobs(database: Database) -> None:
    name = "without denoising"
    rows = [PACK, replace(TRAIN, variant=name), PlannedJob("evaluate", "cnn", 0, -1, needs=(1,), variant=name)]
    small = small_run(database, 1, rows)
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    seen = []
    for _ in rows:
        [ready] = feeding.take_jobs(small.database)
        claim = ledger.claim_job(small.run, ready.job, ready.kind)
        assert claim is not None
        seen.append((claim.variant, [job.variant for job in needed_results(small.database, claim.id)]))
        figures = {"accuracy": 0.5, "macro_f1": 0.5, "by_recording_accuracy": 0.5}
        ledger.settle_job(claim, State.DONE, output=output(claim.kind, **figures if claim.kind == "evaluate" else {}))
    assert seen == [(None, []), (name, [None]), (name, [name])]
    assert [job.variant for job in results(small.database, small.run)] == [None, name, name]
    jobs = snapshot(small.database, small.run).jobs
    assert [job.variant for job in jobs] == [None, name, name]


def test_a_run_still_being_planned_is_neither_cancelled_nor_resumed_nor_retried(database: Database) -> None:
    small = small_run(database, 1)
    planned = planning.begin_run(small.database, 1, 1, {"models": []})
    assert not control.cancel(small.database, planned)
    assert not control.resume(small.database, planned)
    assert control.retry(small.database, planned) == 0
    assert snapshot(small.database, planned).run.state == RunState.PLANNING


def test_nothing_of_a_run_at_work_is_tried_again(database: Database) -> None:
    small = small_run(database, 2)
    ledger = small.ledger()
    bad, _ = ledger.claim_items(small.run, small.items)
    ledger.settle_items([Outcome(bad, State.QUARANTINED, EMPTY)])
    assert control.retry(small.database, small.run) == 0
    assert item_states(small) == [State.QUARANTINED, State.RUNNING]


def test_a_worker_that_still_holds_a_retried_job_writes_nothing(database: Database) -> None:
    small = small_run(database, 1, [PACK, TRAIN])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    [pack] = feeding.take_jobs(small.database)
    claim = ledger.claim_job(small.run, pack.job, pack.kind)
    assert claim is not None
    control.cancel(small.database, small.run)
    assert control.retry(small.database, small.run) == 1  # the training; packing is still held and did not fail
    assert ledger.settle_job(claim, State.DONE, output=output(claim.kind, "k"))
    assert [job.kind for job in feeding.take_jobs(small.database)] == ["train"]


@pytest.mark.parametrize("is_step", [True, False])
def test_only_a_training_that_makes_progress_resets_its_failure_counts(database: Database, is_step: bool) -> None:
    small = small_run(database, 1, [PACK])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    [ready] = feeding.take_jobs(small.database)
    for _ in range(MAX_CRASHES):
        claim = ledger.claim_job(small.run, ready.job, ready.kind)
        assert claim is not None
        ledger.write_metrics(claim, 1, {"loss": 1.0})  # of an epoch that an earlier attempt had done
        if is_step:
            ledger.reset_failure_counts(claim)
        ledger.record_job_crash(ready.job, is_own=True, reason="signal 11 (SIGSEGV)")
    [job] = status.jobs(small.database, small.run)
    assert job.state == (State.WAITING if is_step else State.FAILED)


def test_a_job_given_up_for_a_cancelled_run_waits_when_the_run_was_resumed_meanwhile(database: Database) -> None:
    small = small_run(database, 1, [PACK])
    ledger = small.ledger()
    ledger.settle_items([done(claim) for claim in ledger.claim_items(small.run, small.items)])
    [ready] = feeding.take_jobs(small.database)
    claim = ledger.claim_job(small.run, ready.job, ready.kind)
    assert claim is not None
    control.cancel(small.database, small.run)
    control.resume(small.database, small.run)
    ledger.settle_job(claim, State.CANCELLED, CANCELLED)
    assert snapshot(small.database, small.run).jobs[0].state == State.WAITING


def test_the_reason_of_an_item_that_waits_for_another_attempt_is_known(database: Database) -> None:
    small = small_run(database, 2)
    ledger = small.ledger()
    assert snapshot(database, small.run).retry_reasons == []
    [claim] = ledger.claim_items(small.run, small.items[:1])
    ledger.settle_items([Outcome(claim, State.WAITING, DISK_FULL)])
    assert snapshot(database, small.run).retry_reasons == ["preprocess: OSError: disk full"]
