"""Pause, resume, cancel and retry of a run, also with a million items."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.claims import Outcome
from db.queries import status
from db.queries.job_inputs import needed_results
from db.schema.tables import Job, Run
from db.schema.upgrade import upgrade
from domain import revisions
from domain.errors import MachineFault
from domain.states import RunState, State
from domain.work import PlannedJob
from orchestrator.broker import QueueMessage, Sender
from orchestrator.execution.dispatcher import Dispatcher
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from settings import Settings
from tests.ledger_rows import SmallRun, done, output, small_run
from tests.recordings import write_class_folders


def test_any_number_of_items_is_moved_in_the_same_memory(database: Database) -> None:
    small = small_run(database, 20_000)
    control.pause(small.database, small.run)
    tracemalloc.start()
    for steer, state in ((control.cancel, State.CANCELLED), (control.resume, State.WAITING)):
        assert steer(small.database, small.run)
        assert status.item_counts(small.database, small.run)[state] == 20_000
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2_000_000, "a hundred bytes an item would be too many"


@pytest.mark.parametrize(("ended", "n_again"), [(State.DONE, 0), (State.QUARANTINED, 1)])
def test_retry_makes_a_run_active_only_if_it_has_something_to_retry(
    ended: State, n_again: int, database: Database
) -> None:
    small = small_run(database, 3)
    first, second, last = small.ledger().claim_items(small.run, small.items)
    end = done(last) if ended is State.DONE else Outcome(last, ended)
    small.ledger().settle_items([done(first), done(second), end])
    assert feeding.close_runs(database) == [small.run]
    assert control.retry(database, small.run) == n_again
    assert status.run_lines(database)[0].state == (RunState.ACTIVE if n_again else RunState.DONE)


PACK_AND_MORE = (
    PlannedJob("pack", fold=-1, subset=0),
    PlannedJob("pack", fold=-1, subset=2),
    PlannedJob("train", "cnn", 0, -1, needs=(0,)),
    PlannedJob("train", "mlp", 0, -1, needs=(0,)),
    PlannedJob("evaluate", "cnn", 0, -1, needs=(1, 2)),
)


def end_jobs(small: SmallRun, revision: dict[str, int]) -> None:
    """Every job but the evaluation is done; packs were made by that revision."""
    for job in status.jobs(small.database, small.run)[:4]:
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        left = output(job.kind, **revision if job.kind == "pack" else {})
        assert small.ledger().settle_job(claim, State.DONE, output=left)


def job_states(small: SmallRun) -> list[str]:
    return [job.state for job in status.jobs(small.database, small.run)]


@pytest.mark.parametrize("revision", [{}, {"revision": revisions.SHARDS - 1}])
def test_parts_of_an_older_revision_are_repacked_and_dependent_jobs_repeated(
    revision: dict[str, int], database: Database
) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    end_jobs(small, revision)
    assert job_states(small) == [State.DONE] * 4 + [State.WAITING]
    control.pause(database, small.run)
    assert control.repack_outdated(database, small.run) == 0
    control.resume(database, small.run)
    assert control.repack_outdated(database, small.run) == 2
    assert job_states(small) == [State.WAITING] * 5
    assert control.repack_outdated(database, small.run) == 0


def test_a_training_that_was_sent_waits_for_parts_that_are_repacked(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    packs, train = status.jobs(database, small.run)[:2], status.jobs(database, small.run)[2]
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    for job in packs:
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        assert small.ledger().settle_job(claim, State.DONE, output=output(claim.kind, "shards/older"))
    assert train.id in [job.job for job in feeding.take_jobs(database)]
    assert control.repack_outdated(database, small.run) == 2
    assert job_states(small) == [State.WAITING] * 5


def test_a_resumed_run_with_nothing_left_to_do_is_repacked_before_it_is_closed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    small = small_run(database, 1, PACK_AND_MORE[:4])
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    end_jobs(small, {})

    class Silent(Sender):
        def queued(self, queue: str) -> int:
            return 0

        def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
            return len(messages)

    dispatcher = Dispatcher(database, Silent(Settings()), Settings())
    with caplog.at_level(logging.WARNING, "chorus"):
        dispatcher.step()
    assert f"run {small.run}: packing 2 parts again and training again; an older version packed them" in caplog.text
    assert status.run_lines(database)[0].state == RunState.ACTIVE
    assert job_states(small) == [State.SENT] * 2 + [State.WAITING] * 2


def test_parts_of_this_revision_stay(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    end_jobs(small, {"revision": revisions.SHARDS})
    assert control.repack_outdated(database, small.run) == 0
    assert job_states(small) == [State.DONE] * 4 + [State.WAITING]


def test_a_training_claimed_by_a_late_message_waits_for_what_it_needs(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    end_jobs(small, {})
    assert control.repack_outdated(database, small.run) == 2
    train = status.jobs(database, small.run)[2]
    claim = small.ledger().claim_job(small.run, train.id, "train")
    assert claim is not None
    with pytest.raises(MachineFault, match=r"job \d+, which this one needs, is waiting and not yet done"):
        needed_results(database, claim.id)


def test_a_plan_says_once_that_older_shards_are_not_used(database: Database, tmp_path: Path) -> None:
    tones = write_class_folders(tmp_path / "tones", {"high": 6000.0, "low": 1000.0}, per_label=6, seconds=0.2)

    def planned(until: str = "pack") -> tuple[int, bool]:
        made = submit(database, tones, Request(until=until), lambda _: None)
        return made.run, any("shards of older versions" in line for line in made.lines)

    upgrade(database)
    old, said = planned()
    assert not said
    pack = status.jobs(database, old)[0]
    with database.write() as connection:
        connection.execute(sa.update(Job).where(Job.id == pack.id).values(state=State.DONE, result={"key": "shards/a"}))
        connection.execute(sa.update(Run).where(Run.id == old).values(facts={"recordings": 12}))
    assert [planned("preprocess")[1], planned()[1], planned()[1]] == [False, True, False]
