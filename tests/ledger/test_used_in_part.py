"""A recording of which some spans became strips and others did not; on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from db.engine import Database
from db.ledger import feeding, planning
from db.ledger.claims import Outcome
from db.queries import status
from db.queries.unused import unused
from db.store.folder import FolderStore
from domain.reasons import Reason, ReasonCode
from domain.states import State
from domain.work import PlannedItem
from orchestrator.cli.terminal import result_lines
from orchestrator.monitoring.summary import exit_code, summary
from settings import Settings
from tests.ledger_rows import SmallRun, done, item_ids, recording, small_run

RATE_HZ = 32_000
NAN = Reason(ReasonCode.UNREADABLE, "unreadable: NaN")
SILENT_1 = Reason(ReasonCode.SILENT, "silent: span 1 peaks at -91.0 dBFS")
SILENT_3 = Reason(ReasonCode.SILENT, "silent: span 3 contains only zeros")


def long_run(database: Database, spans: Mapping[int, int]) -> SmallRun:
    """One active run of recordings with so many spans of 75 s each; the last span of each lasts 25 s."""
    small_run(database, 1)  # makes the tables
    dataset = planning.ensure_dataset(database, "/data", "folder per class")
    pipeline = planning.ensure_pipeline(database, "p" * 64, "birdclef2021", {})
    run = planning.begin_run(database, dataset, pipeline, {"models": ["cnn"]})
    rows = [recording(n)._replace(n_frames=(75 * n_spans - 50) * RATE_HZ) for n, n_spans in spans.items()]
    ids = list(planning.ensure_recordings(database, dataset, rows))
    planned = [
        PlannedItem(row, span, 0, -1, 0, "Ann", 10 * row + span, 0.1)
        for row, n_spans in zip(ids, spans.values(), strict=True)
        for span in range(n_spans)
    ]
    planning.add_items(database, run, pipeline, planned)
    facts = {"recordings": len(rows), "items": len(planned)}
    planning.activate_run(database, run, (), labels=["robin", "wren"], split={"digest": "s" * 64}, facts=facts)
    return SmallRun(database, run, tuple(item_ids(database, run)))


def settled(small: SmallRun, lost: Mapping[int, Reason], *, but: int | None = None) -> None:
    """Every item is done, except those that are lost: position -> reason; `but` stays open."""
    ledger = small.ledger()
    ids = [item for at, item in enumerate(small.items) if at != but]
    for claim in ledger.claim_items(small.run, ids):
        reason = lost.get(small.items.index(claim.id))
        ledger.settle_items([Outcome(claim, State.QUARANTINED, reason) if reason else done(claim)])
    feeding.close_runs(small.database)


def test_one_lost_span_of_four_is_named_with_its_seconds_and_the_exit_code_is_3(
    database: Database, tmp_path: Path
) -> None:
    small = long_run(database, {0: 4, 1: 4})
    settled(small, {1: NAN})
    found = summary(database, FolderStore(tmp_path), small.run)
    assert found["state"] == "done"
    assert {state: n for state, n in found["recordings"].items() if n} == {"total": 2, "done": 1, "used_in_part": 1}
    assert found["quarantined"] == found["failed"] == []
    [entry] = found["used_in_part"]
    lost = {"span": 1, "start_s": 75.0, "end_s": 150.0, "preset": "birdclef2021", "state": "quarantined"}
    assert entry == {
        "recording": "a/0.ogg", "reason": f"1 of 4 spans lost, 75 of 250 s (75 to 150 s): {NAN}",
        "reason_code": "unreadable", "n_spans": 4, "lost_s": 75.0, "duration_s": 250.0,
        "spans": ({**lost, "reason": str(NAN), "reason_code": "unreadable"},),
    }  # fmt: skip
    assert exit_code(database, small.run) == 3
    lines = result_lines(found, Settings().command)
    assert lines[0] == f"run {small.run}: done; 2 recordings: 1 done, 1 used in part"
    assert lines[1:] == ["used in part:", f"  a/0.ogg: {entry['reason']}"]


def test_a_recording_that_was_used_whole_is_not_listed_and_the_exit_code_is_0(database: Database) -> None:
    small = long_run(database, {0: 4, 1: 1})
    settled(small, {})
    found = unused(database, small.run)
    assert found.quarantined == found.in_part == found.failed == []
    assert status.recording_counts(database, small.run)["done"] == 2
    assert exit_code(database, small.run) == 0


def test_the_reason_of_a_long_recording_covers_all_its_spans(database: Database) -> None:
    small = long_run(database, {0: 4, 1: 1})
    settled(small, {0: NAN, 1: SILENT_1, 2: NAN, 3: SILENT_3})
    found = unused(database, small.run)
    assert found.in_part == []
    [entry] = found.quarantined
    assert entry.reason == "2 of 4 spans unreadable: NaN; 2 of 4 spans silent, for example: span 1 peaks at -91.0 dBFS"
    assert entry.reason_code == "unreadable"
    assert status.recording_counts(database, small.run) == {
        **dict.fromkeys(map(str, State), 0), "used_in_part": 0, "total": 2, "done": 1, "quarantined": 1,
    }  # fmt: skip


def test_adjacent_lost_spans_are_one_stretch_and_the_last_one_ends_with_the_recording(database: Database) -> None:
    small = long_run(database, {0: 4})
    settled(small, {0: NAN, 2: SILENT_3, 3: SILENT_3})
    [entry] = unused(database, small.run).in_part
    assert entry.reason == (
        "3 of 4 spans lost, 175 of 250 s (0 to 75, 150 to 250 s): "
        "1 of 4 spans unreadable: NaN; 2 of 4 spans silent: span 3 contains only zeros"
    )
    assert (entry.reason_code, entry.lost_s) == ("silent", 175.0)


def test_a_recording_with_an_open_span_is_neither_lost_nor_used_in_part_yet(database: Database) -> None:
    small = long_run(database, {0: 4, 1: 1})
    settled(small, {1: NAN}, but=3)
    found = unused(database, small.run)
    assert found.quarantined == found.in_part == []
    counts = status.recording_counts(database, small.run)
    assert {state: n for state, n in counts.items() if n} == {"total": 2, "waiting": 1, "done": 1}


@pytest.mark.parametrize("lost", [{}, {0: NAN}, {1: NAN, 2: NAN, 3: NAN}, {0: NAN, 1: NAN, 2: NAN, 3: NAN}])
def test_the_counts_are_those_of_the_lists(database: Database, lost: dict[int, Reason]) -> None:
    small = long_run(database, {0: 4, 1: 2, 2: 1, 3: 3})
    settled(small, lost)
    counts, found = status.recording_counts(database, small.run), unused(database, small.run)
    assert (counts["quarantined"], counts["used_in_part"]) == (len(found.quarantined), len(found.in_part))
    assert counts["total"] == 4 == counts["done"] + counts["quarantined"] + counts["used_in_part"]
