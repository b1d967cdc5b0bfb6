"""What a person does to a run holds for a million items too."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest

from db.engine import Database
from db.ledger import control, feeding, planning
from db.ledger.claims import Outcome
from db.ledger.planning import JobRow
from db.queries import status
from domain import revisions
from domain.states import RunState, State
from orchestrator.execution.dispatcher import Dispatcher, Doorbell, Sender
from settings import Settings
from tests.ledger_rows import SmallRun, another_run, done, small_run


def test_a_person_moves_any_number_of_items_in_the_same_memory(database: Database) -> None:
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
def test_only_a_run_with_something_to_try_again_becomes_active_by_it(
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
    JobRow("pack", fold=-1, side=0),
    JobRow("pack", fold=-1, side=2),
    JobRow("train", "cnn", 0, -1, needs=(0,)),
    JobRow("train", "mlp", 0, -1, needs=(0,)),
    JobRow("evaluate", "cnn", 0, -1, needs=(1, 2)),
)


def end_jobs(small: SmallRun, revision: dict[str, int]) -> None:
    """Every job but the evaluation is done; packs were made by that revision."""
    for job in status.jobs(small.database, small.run)[:4]:
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        left = revision if job.kind == "pack" else {"key": "models/a"}
        assert small.ledger().settle_job(claim, State.DONE, result=left)


def job_states(small: SmallRun) -> list[str]:
    return [job.state for job in status.jobs(small.database, small.run)]


@pytest.mark.parametrize("revision", [{}, {"revision": revisions.SHARDS - 1}])
def test_parts_of_an_older_revision_are_packed_anew_with_all_that_was_made_of_them(
    revision: dict[str, int], database: Database
) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    end_jobs(small, revision)
    assert job_states(small) == [State.DONE] * 4 + [State.WAITING]
    control.pause(database, small.run)
    assert control.pack_anew(database, small.run) == 0
    control.resume(database, small.run)
    assert control.pack_anew(database, small.run) == 2
    assert job_states(small) == [State.WAITING] * 5
    assert control.pack_anew(database, small.run) == 0


def test_a_training_that_was_sent_waits_for_parts_that_are_packed_anew(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    packs, train = status.jobs(database, small.run)[:2], status.jobs(database, small.run)[2]
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    for job in packs:
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        assert small.ledger().settle_job(claim, State.DONE, result={"key": "shards/older"})
    assert train.id in [job.job for job in feeding.take_jobs(database)]
    assert control.pack_anew(database, small.run) == 2
    assert job_states(small) == [State.WAITING] * 5


def test_a_resumed_run_with_nothing_left_to_do_is_packed_anew_before_it_is_closed(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE[:4])
    small.ledger().settle_items([done(claim) for claim in small.ledger().claim_items(small.run, small.items)])
    end_jobs(small, {})

    class Silent(Sender):
        def queued(self, queue: str) -> int:
            return 0

        def send(self, task: str, queue: str, messages: Sequence[Doorbell]) -> int:
            return len(messages)

    dispatcher = Dispatcher(database, Silent(Settings()), Settings())
    dispatcher.step()
    assert status.run_lines(database)[0].state == RunState.ACTIVE
    assert job_states(small) == [State.SENT] * 2 + [State.WAITING] * 2


def test_parts_of_this_revision_stay(database: Database) -> None:
    small = small_run(database, 1, PACK_AND_MORE)
    end_jobs(small, {"revision": revisions.SHARDS})
    assert control.pack_anew(database, small.run) == 0
    assert job_states(small) == [State.DONE] * 4 + [State.WAITING]


def test_a_plan_says_once_that_older_shards_are_not_used(database: Database) -> None:
    old = small_run(database, 1, PACK_AND_MORE)
    assert not planning.has_only_outdated_shards(database, old.run)
    end_jobs(old, {})
    later = another_run(database, 1, PACK_AND_MORE)
    assert planning.has_only_outdated_shards(database, later.run)
    end_jobs(later, {"revision": revisions.SHARDS})
    assert not planning.has_only_outdated_shards(database, another_run(database, 1).run)
