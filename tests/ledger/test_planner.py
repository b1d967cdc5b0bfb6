"""A dry run shows what `submit` writes, since both have the same plan."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.engine import Database
from db.schema.tables import BadRow, Dataset, Item, Job, Recording, Run
from db.schema.upgrade import upgrade
from orchestrator.planning.dry_run import dry_run
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from tests.recordings import write_class_folders

REQUESTS = (
    Request(),
    Request(("cnn", "mlp"), seeds=(3, 4), n_folds=2, leak_meter=True, ablate=("augmentation",)),
    Request(until="preprocess", preset="broadband"),
)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    folder = write_class_folders(tmp_path / "tones", {"high": 6000.0, "low": 1000.0}, per_label=6, seconds=0.2)
    (folder / "low" / "empty.wav").write_bytes(b"")
    return folder


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: f"{'+'.join(each.models)} until {each.until}")
@pytest.mark.parametrize("is_planned_before", [False, True])
def test_a_dry_run_shows_what_submit_writes(
    database: Database, tones: Path, request_: Request, is_planned_before: bool
) -> None:
    upgrade(database)
    if is_planned_before:
        submit(database, tones, request_, lambda _: None)
    shown = dry_run(database if is_planned_before else None, tones, request_, lambda _: None)
    made = submit(database, tones, request_, lambda _: None)
    values = shown.values()
    with database.read() as connection:
        n_items = connection.scalar(sa.select(sa.func.count()).where(Item.run_id == made.run))
        kinds = connection.scalars(sa.select(Job.kind).where(Job.run_id == made.run)).all()
        written = connection.execute(sa.select(Run.split, Run.facts, Run.labels).where(Run.id == made.run)).one()
        bad = connection.execute(sa.select(BadRow.line, BadRow.uri, BadRow.reason).where(BadRow.run_id == made.run))
        bad_rows = [tuple(row) for row in bad]
    assert values["items"] == n_items == made.n_items == written.facts["items"]
    assert values["jobs"] == dict(Counter(kinds))
    assert values["split"] == written.split
    assert sorted(values["classes"]) == written.labels
    assert values["not_done"] == written.facts["not_done"]
    summary = written.facts["summary"]
    assert summary.pop("bad_rows") == dict(Counter(row["reason"].partition(":")[0] for row in values["bad_rows"]))
    assert {name: values[name] for name in summary} == summary
    assert [(row["line"], row["uri"], row["reason"]) for row in values["bad_rows"]] == bad_rows
    assert list(made.lines) == shown.lines()[: len(made.lines)]


def test_a_dry_run_writes_nothing(database: Database, tones: Path) -> None:
    upgrade(database)
    dry_run(database, tones, Request(), lambda _: None)
    with database.read() as connection:
        for table in (Dataset, Recording, Run, Item, Job, BadRow):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_a_dry_run_keeps_as_many_unusable_rows_as_it_is_asked_for_and_counts_all(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    lines = [f"good/{n}.wav,{'ab'[n % 2]}" for n in range(8)] + [f"bad/{n}.wav," for n in range(5)]
    table.write_text("path,label\n" + "\n".join(lines) + "\n")
    request = Request(until="preprocess", trust_csv=True)
    some, every = (dry_run(None, table, request, lambda _: None, most) for most in (2, None))
    assert [len(each.bad_rows) for each in (some, every)] == [2, 5]
    assert some.plan.summary.as_dict() == every.plan.summary.as_dict()


def test_a_recording_that_planning_cannot_measure_is_measured_by_the_worker_that_decodes_it(
    database: Database, tones: Path
) -> None:
    """Otherwise a worker that can decode it would make its first span, and the others would have no items."""
    upgrade(database)
    (tones / "low" / "unknown.wav").write_bytes(b"RIFF of an unknown kind" * 100)
    submit(database, tones, Request(until="preprocess"), lambda _: None)
    with database.read() as connection:
        rows = connection.execute(sa.select(Recording.uri, Recording.rate_hz, Recording.is_on_trust)).all()
    assert [row for row in rows if row.is_on_trust] == [("low/unknown.wav", 0, True)]
    assert len(rows) == 13
