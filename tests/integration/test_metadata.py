"""Where and when, from a csv's cells to what a network is given."""

from __future__ import annotations

import hashlib

from db import planning
from db.planning import ItemRow, RecordingRow
from db.reading import strips
from db.session import Database
from tests.ledger_rows import done, item_ids, recording, small_run


def digest_before_the_ledger_knew_places(row: RecordingRow) -> str:
    return hashlib.sha256(repr(tuple(row)[:12]).encode()).hexdigest()[:32]


def test_a_recording_of_which_nothing_is_known_is_the_row_it_was_before() -> None:
    assert recording(0).facts_digest == digest_before_the_ledger_knew_places(recording(0))
    assert recording(0)._replace(month=5).facts_digest != recording(0).facts_digest


def test_where_and_when_go_with_the_strip_and_make_another_row_where_they_are_corrected(database: Database) -> None:
    small = small_run(database, 1)
    placed = recording(0)._replace(latitude=52.5, longitude=13.25, month=5)
    rows = (placed, placed, placed._replace(latitude=-33.0))
    [first], [again], [moved] = (list(planning.keep_recordings(database, 1, [row])) for row in rows)
    assert first == again != moved
    ledger = small.ledger()
    run = planning.begin_run(database, 1, 1, {"models": ["cnn"]})
    planning.add_items(database, run, 1, [ItemRow(first, 0, 0, -1, 0, "Ann", 0, 0.1)])
    planning.activate_run(database, run, [], labels=["robin"], split={}, facts={})
    ledger.settle_items([done(claim) for claim in ledger.claim_items(run, item_ids(database, run))])
    [strip] = strips(database, run, 1, (-1, 0))
    assert strip.metadata == (52.5, 13.25, 5, None)
