"""What a person does to a run holds for a million items too."""

from __future__ import annotations

import tracemalloc

import pytest

from db import feeding, status, steering
from db.ledger import Outcome
from db.session import Database
from db.states import RunState, State
from tests.ledger_rows import done, small_run


def test_a_person_moves_any_number_of_items_in_the_same_memory(database: Database) -> None:
    small = small_run(database, 20_000)
    steering.pause(small.database, small.run)
    tracemalloc.start()
    for steer, state in ((steering.cancel, State.CANCELLED), (steering.resume, State.WAITING)):
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
    assert steering.retry(database, small.run) == n_again
    assert status.run_lines(database)[0].state == (RunState.ACTIVE if n_again else RunState.DONE)
