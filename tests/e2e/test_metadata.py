"""Place and time, from the cells of a csv to the inputs of a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from db.engine import Database
from db.ledger import planning
from db.ledger.planning import RecordingRow
from db.queries import run_counts
from db.queries.job_inputs import strips
from domain.states import Kind, RunState, State
from domain.work import PlannedItem
from orchestrator.monitoring.summary import summary
from orchestrator.planning.request import Request
from tasks.model.bundle.bundle import read_bundle
from tasks.model.inputs import METADATA_INPUTS
from tests.e2e.way import carried_out, dataset, home
from tests.ledger_rows import done, item_ids, recording, small_run


def as_csv(folder: Path, cells: Callable[[int], str]) -> Path:
    """Write a csv with place and date of each tone."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.wav"))
    rows = [f"{name},{name.split('/')[0]},{cells(number)}" for number, name in enumerate(names)]
    table = folder / "labels.csv"
    table.write_text("\n".join(["path,label,lat,lon,date", *rows]))
    return table


def test_networks_receive_place_and_month_and_their_bundles_name_these_features(tmp_path: Path) -> None:
    """Slow: each training and each evaluation is a process that imports TensorFlow."""
    cells = ("52.5,13.4,2021-05-30", "999,13.4,n/a", "-33.9,151.2,2021-13-01", "40.7,-74,12.11.2020")
    table = as_csv(dataset(tmp_path), lambda number: cells[number % 4])
    request = Request(models=("mlp", "cnn_mlp"), training={"epochs": 1}, features="both", trust_csv=True)
    with home(tmp_path / "home") as session:
        seen = carried_out(session, table, request)
        assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
        for job in (job for job in seen.jobs if job.kind == Kind.TRAIN):
            bundle = read_bundle(session.store.local(job.result.key))
            assert bundle.model.inputs[-1].shape[1:] == (24,)
            assert bundle.facts.features[15:] == METADATA_INPUTS
        page = Path(summary(session.database, session.store, seen.run.id)["report"]).read_text()
        assert "--features both" in page
        assert run_counts.shared_places(session.database, seen.run.id)[1] > 0


def test_the_report_names_a_model_that_cannot_be_trained_and_the_other_is_trained_and_evaluated(
    tmp_path: Path,
) -> None:
    """Slow: each training and each evaluation is a process that imports TensorFlow."""
    table = as_csv(dataset(tmp_path), lambda _number: "52.5,13.4,2021-05-30")
    request = Request(models=("mlp", "cnn"), training={"epochs": 1}, features="metadata")
    with home(tmp_path / "home") as session:
        seen = carried_out(session, table, request)
        states = {(job.kind, job.model): job.state for job in seen.jobs if job.model}
        assert states == {
            ("train", "mlp"): State.FAILED,
            ("evaluate", "mlp"): State.CANCELLED,
            ("train", "cnn"): State.DONE,
            ("evaluate", "cnn"): State.DONE,
        }
        found = summary(session.database, session.store, seen.run.id)
        assert set(found["scores"]) == {"cnn"}
        assert "do not differ in place or time" in Path(found["report"]).read_text()


def placed_run(database: Database, places: Sequence[tuple[float | None, int, int]]) -> int:
    """A run of recordings with (latitude, fold, subset)."""
    small_run(database, 1)
    rows = [
        recording(number)._replace(latitude=latitude, longitude=None if latitude is None else 1.0)
        for number, (latitude, _, _) in enumerate(places)
    ]
    ids = planning.ensure_recordings(database, 1, rows)
    run = planning.begin_run(database, 1, 1, {"models": ["cnn"]})
    items = [PlannedItem(row, 0, 0, *place[1:], "Ann", row, 0.1) for row, place in zip(list(ids), places, strict=True)]
    planning.add_items(database, run, 1, items)
    return run


def test_test_recordings_at_places_of_training_recordings_are_counted(database: Database) -> None:
    run = placed_run(database, [(1.0, -1, 0), (2.0, -1, 1), (1.0, -1, 2), (2.0, -1, 2), (3.0, -1, 2), (None, -1, 2)])
    assert run_counts.shared_places(database, run) == (3, 2)


def test_in_folds_every_recording_is_a_test_recording_once(database: Database) -> None:
    run = placed_run(database, [(1.0, 0, 0), (1.0, 1, 0), (2.0, 0, 0), (2.0, 0, 1), (None, 1, 0)])
    assert run_counts.shared_places(database, run) == (4, 2)


def digest_before_the_ledger_knew_places(row: RecordingRow) -> str:
    return hashlib.sha256(repr(tuple(row)[:12]).encode()).hexdigest()[:32]


def test_a_recording_without_metadata_keeps_its_digest_from_older_versions() -> None:
    assert recording(0).facts_digest == digest_before_the_ledger_knew_places(recording(0))
    assert recording(0)._replace(month=5).facts_digest != recording(0).facts_digest


def test_place_and_time_belong_to_the_strip_and_a_correction_makes_another_row(database: Database) -> None:
    small = small_run(database, 1)
    placed = recording(0)._replace(latitude=52.5, longitude=13.25, month=5)
    rows = (placed, placed, placed._replace(latitude=-33.0))
    [first], [again], [moved] = (list(planning.ensure_recordings(database, 1, [row])) for row in rows)
    assert first == again != moved
    ledger = small.ledger()
    run = planning.begin_run(database, 1, 1, {"models": ["cnn"]})
    planning.add_items(database, run, 1, [PlannedItem(first, 0, 0, -1, 0, "Ann", 0, 0.1)])
    planning.activate_run(database, run, [], labels=["robin"], split={}, facts={})
    ledger.settle_items([done(claim) for claim in ledger.claim_items(run, item_ids(database, run))])
    [strip] = strips(database, run, 1, (-1, 0))
    assert strip.metadata == (52.5, 13.25, 5, None)
