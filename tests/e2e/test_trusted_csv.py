"""Recordings planned on trust: the ledger learns from the first worker what a plan would have found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.ledger import control, planning
from db.ledger.claims import ItemClaim, Outcome, StripFacts
from db.ledger.discovery import FoundFile
from db.queries import run_counts, status
from db.queries.unused import unused
from db.schema.tables import Item, Recording
from db.schema.upgrade import upgrade
from domain.reasons import Reason, ReasonCode
from domain.states import State
from domain.work import PlannedItem
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from tests.e2e.way import carried_out, dataset, files, home
from tests.ledger_rows import SmallRun, counted_states, item_ids, item_states, recording

PREPROCESS = Request(until="preprocess")


def on_trust(database: Database, subsets: list[int], copies: int = 0) -> SmallRun:
    """An active run of recordings of which nothing but the name is known, and their copies."""
    upgrade(database)
    data = planning.ensure_dataset(database, "/data", "csv of paths and labels")
    pipeline = planning.ensure_pipeline(
        database, "p" * 64, "birdclef2021", {"name": "birdclef2021", "decode": {"span_s": 75}}
    )
    run = planning.begin_run(database, data, pipeline, {"models": ["cnn"]})
    unread = [
        recording(n)._replace(digest="", size_bytes=0, mtime_ns=0, n_frames=0, rate_hz=0, is_on_trust=True)
        for n in range(len(subsets))
    ]
    ids = planning.ensure_recordings(database, data, unread)
    rows = [
        PlannedItem(row, 0, copy, -1, subset, f"g{row}", 10 * row + copy, 0.1)
        for row, subset in zip(ids, subsets, strict=True)
        for copy in range(copies + 1)
    ]
    planning.add_items(database, run, pipeline, rows)
    planning.activate_run(database, run, [], labels=["wren"], split={}, facts={"recordings": len(subsets)})
    return SmallRun(database, run, tuple(item_ids(database, run)))


def made(claim: ItemClaim, digest: str = "a" * 64, n_spans: int = 1) -> Outcome:
    found = FoundFile(digest, 1000, 7, 32_000, 32_000, n_spans)
    strip = StripFacts(f"strips/{digest}-{claim.span}-{claim.copy}.png", 10, "f" * 64, 1, found=found)
    return Outcome(claim, State.DONE, strip=strip)


def test_the_first_worker_writes_down_what_it_found(database: Database) -> None:
    small = on_trust(database, [0, 0])
    [claim] = small.ledger().claim_items(small.run, small.items[:1])
    assert (claim.digest, claim.is_on_trust) == ("", True)
    small.ledger().settle_items([made(claim)])
    with database.read() as connection:
        rows = connection.execute(sa.select(Recording.digest, Recording.n_frames).order_by(Recording.id)).all()
    assert [tuple(row) for row in rows] == [("a" * 64, 32_000), ("", 0)]
    assert [row.digest for row in planning.known_files(database, 1, ["a/0.ogg", "a/1.ogg"]).values()] == ["a" * 64]


def test_a_long_recordings_further_spans_join_the_run_once(database: Database) -> None:
    small = on_trust(database, [0], copies=1)
    plain, augmented = small.ledger().claim_items(small.run, small.items)
    for claim in (plain, augmented):
        small.ledger().settle_items([made(claim, n_spans=3)])
    with database.read() as connection:
        rows = connection.execute(sa.select(Item.copy, Item.span, Item.state).order_by(Item.copy, Item.span)).all()
        keys = connection.scalars(sa.select(Item.order_key)).all()
    assert [tuple(row) for row in rows] == [
        (copy, span, "done" if span == 0 else "waiting") for copy in (0, 1) for span in (0, 1, 2)
    ]
    assert len(set(keys)) == len(keys)
    assert status.item_counts(database, small.run) == counted_states(small)
    assert status.recording_counts(database, small.run)["total"] == 1


def test_further_spans_of_a_run_that_was_called_off_are_called_off(database: Database) -> None:
    small = on_trust(database, [0])
    [claim] = small.ledger().claim_items(small.run, small.items)
    control.cancel(database, small.run)
    small.ledger().settle_items([made(claim, n_spans=3)])
    assert sorted(item_states(SmallRun(database, small.run, tuple(item_ids(database, small.run))))) == [
        State.CANCELLED, State.CANCELLED, State.DONE,
    ]  # fmt: skip
    assert status.item_counts(database, small.run) == counted_states(small)
    assert control.resume(database, small.run)


def test_two_workers_that_read_different_bytes_cannot_both_be_right(database: Database) -> None:
    small = on_trust(database, [0], copies=1)
    first, second = small.ledger().claim_items(small.run, small.items)
    small.ledger().settle_items([made(first, "a" * 64)])
    small.ledger().settle_items([made(second, "b" * 64)])
    assert item_states(small) == [State.DONE, State.QUARANTINED]
    assert unused(database, small.run).in_part[0].reason_code == "changed"


def test_a_copy_found_on_two_sides_is_a_leak_and_unread_files_are_none(database: Database) -> None:
    small = on_trust(database, [0, 2, 0, 2])
    claims = small.ledger().claim_items(small.run, small.items[:2])
    assert run_counts.split_overlap(database, small.run).n_recordings == 0
    small.ledger().settle_items([made(claim, "c" * 64) for claim in claims])
    assert run_counts.split_overlap(database, small.run).n_recordings == 1


def test_an_unread_recording_that_was_unusable_blames_no_other(database: Database) -> None:
    small = on_trust(database, [0, 0])
    [claim] = small.ledger().claim_items(small.run, small.items[:1])
    small.ledger().settle_items([Outcome(claim, State.QUARANTINED, Reason(ReasonCode.UNREADABLE, "unreadable: x"))])
    assert item_states(on_trust(database, [0, 0])) == [State.WAITING, State.WAITING]


LONG_NAME = f"low/{'n' * 300}.wav"


def as_csv(folder: Path) -> Path:
    """The dataset again, named by a csv, with names that lead to no file of it."""
    (folder.parent / "elsewhere.wav").write_bytes(next(folder.rglob("*.wav")).read_bytes())
    (folder / "high" / "linked.wav").symlink_to(folder.parent / "elsewhere.wav")
    (folder / "low" / "loop.wav").symlink_to("loop.wav")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    rows = [f"{name},{name.split('/')[0]}" for name in [*names, "high/gone.wav", LONG_NAME]]
    table = folder / "labels.csv"
    table.write_text("\n".join(["path,label", *rows]))
    return table


def test_a_trusted_csv_gives_the_same_strips_and_names_what_is_not_there(tmp_path: Path) -> None:
    tones = dataset(tmp_path)
    with home(tmp_path / "read") as session:
        carried_out(session, tones, PREPROCESS)
        expected = files(session, "strips")
    table = as_csv(tones)
    with home(tmp_path / "trusted") as session:
        seen = carried_out(session, table, replace(PREPROCESS, trust_csv=True))
        assert files(session, "strips") == expected
        codes = {entry.recording: entry.reason_code for entry in unused(session.database, seen.run.id).quarantined}
        again = submit(session.database, table, replace(PREPROCESS, trust_csv=True), lambda _: None)
        done = status.item_counts(session.database, again.run)["done"]
    absent = dict.fromkeys(("high/gone.wav", "low/loop.wav", LONG_NAME), "missing")
    assert codes == {**absent, "high/linked.wav": "outside_dataset"}
    assert done == len(expected) == 36
