"""What a person does to a run holds for a million items too."""

from __future__ import annotations

import tracemalloc

from db import status, steering
from db.session import Database
from db.states import State
from tests.ledger_rows import small_run


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
