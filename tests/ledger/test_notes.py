"""Notes on strips are counted by code, chunks or spans, and recordings; on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db.engine import Database
from db.ledger.claims import ItemClaim, Outcome
from db.queries import run_counts
from db.queries.run_counts import NoteCount
from domain.notes import NoteCode, Notes
from tests.ledger_rows import done, small_run


def _done_with(claim: ItemClaim, notes: Notes) -> Outcome:
    outcome = done(claim)
    assert outcome.strip is not None
    return replace(outcome, strip=replace(outcome.strip, notes=notes))


@pytest.mark.parametrize("page", [1_000, 1])
def test_notes_are_counted(database: Database, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_counts, "_NOTES_A_PAGE", page)
    small = small_run(database, 4)
    ledger = small.ledger()
    noted: list[Notes] = [
        {},
        {NoteCode.SILENT_CHUNKS: 3},
        {NoteCode.SILENT_CHUNKS: 2, NoteCode.DEAD_CHANNEL: 1},
        {NoteCode.ABOVE_BAND: 1},
    ]
    claims = ledger.claim_items(small.run, small.items)
    ledger.settle_items([_done_with(claim, notes) for claim, notes in zip(claims[:3], noted, strict=False)])
    assert run_counts.notes(database, small.run) == [
        NoteCount(NoteCode.SILENT_CHUNKS, n=5, n_recordings=2),
        NoteCount(NoteCode.DEAD_CHANNEL, n=1, n_recordings=1),
    ]
    ledger.settle_items([_done_with(claims[3], noted[3])])
    assert run_counts.notes(database, small.run)[-1] == NoteCount(NoteCode.ABOVE_BAND, n=1, n_recordings=1)
