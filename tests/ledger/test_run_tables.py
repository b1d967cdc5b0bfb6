"""Runs as tables in Python, from a ledger and a store whose content is known."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
import sqlalchemy as sa

from dawn_chorus import ChorusError, OpenHome, RunTables
from dawn_chorus.run_tables import typed
from db.engine import Database
from db.ledger import planning
from db.ledger.claims import Ledger, Outcome, StripFacts
from db.queries import run_recordings, status
from db.schema.tables import Job
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from db.store.interface import Store, open_store
from domain.digests import content_digest
from domain.reasons import Reason, ReasonCode
from domain.results import FileRole, JobOutput, OutputFile, PackResult
from domain.states import State
from domain.work import PlannedJob
from orchestrator.planning.model_choice import ChosenModel
from orchestrator.planning.prediction_plan import PredictionRequest, submit_prediction
from orchestrator.prediction_tables import TableRequest, write_detections
from orchestrator.session import Session
from settings import Settings
from tasks.audio.preset import load_preset
from tasks.collect import scores_in_store
from tasks.dataset.layouts.unlabelled import open_recordings
from tasks.dataset.shards.shard import shards
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction
from tasks.model.span_scores import SpanScores
from tests.ledger_rows import SmallRun, done, item_ids, small_run
from tests.model_shards import N_FRAMES, N_MELS, examples
from tests.recordings import write_tone

PIPELINE = PredictionPipeline(for_prediction(load_preset("birdclef2021")), (NetworkFile("networks/a.onnx", "a" * 64),))
LABELS = ("robin", "wren")
SCORES = {"a, 1.wav": [[0.9, 0.1], [0.25, 0.75]], "b.wav": [[0.5, 0.5]]}
"""Of windows of 5 s; a, 1.wav lasts 8 s. The second chunk of b.wav is silent."""


@pytest.fixture
def session(database: Database, tmp_path: Path) -> Session:
    upgrade(database)
    return Session(Settings(home=tmp_path / "home"), database, FolderStore(tmp_path / "home" / "store"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunTables]:
    """One prediction for the tests of its scores; headers of recordings are read in processes that take a second."""
    folder = tmp_path_factory.mktemp("prediction")
    database = Database(f"sqlite:///{folder / 'ledger.sqlite'}")
    upgrade(database)
    yield predicted(Session(Settings(home=folder), database, FolderStore(folder / "store")), folder / "data")
    database.close()


def submitted(session: Session, folder: Path) -> int:
    """A prediction of two recordings, one that is broken, and one that is empty."""
    write_tone(folder / "a, 1.wav", 1000.0, 8.0, rate_hz=8_000)
    write_tone(folder / "b.wav", 1000.0, 10.0, rate_hz=8_000)
    write_tone(folder / "c.wav", 1000.0, 10.0, rate_hz=8_000)
    (folder / "empty.wav").touch()
    model = ChosenModel("1:cnn", "cnn, the only classifier of run 1", LABELS, PIPELINE)
    request = PredictionRequest(model, str(folder), trust_csv=False)
    return submit_prediction(session.database, open_recordings(folder, is_trusted=False), request, lambda _: None).run


def predicted(session: Session, folder: Path) -> RunTables:
    """That prediction, finished with SCORES; c.wav cannot be decoded."""
    run = submitted(session, folder)
    ledger = Ledger(session.database, "w1", 60.0, 1)
    outcomes = []
    for claim in ledger.claim_items(run, item_ids(session.database, run)):
        if claim.uri not in SCORES:
            outcomes.append(Outcome(claim, State.QUARANTINED, Reason(ReasonCode.UNREADABLE, "cannot be decoded")))
            continue
        scores = np.array(SCORES[claim.uri], np.float32)
        data = SpanScores(np.arange(len(scores), dtype=np.int32), scores).to_bytes()
        session.store.put(f"scores/{claim.id}.npz", data)
        strip = StripFacts(f"scores/{claim.id}.npz", len(data), content_digest(data), len(scores))
        outcomes.append(Outcome(claim, State.DONE, strip=strip))
    ledger.settle_items(outcomes)
    [job] = status.jobs(session.database, run)
    claimed = ledger.claim_job(run, job.id, job.kind)
    assert claimed is not None
    work: Any = SimpleNamespace(
        database=session.database, store=session.store, claim=claimed, require_claim=lambda: None
    )
    assert ledger.settle_job(claimed, State.DONE, output=scores_in_store(work))
    return OpenHome(session).run(run)


def test_detections_are_those_of_the_table_that_the_command_writes(finished: RunTables, tmp_path: Path) -> None:
    for threshold in (None, 0.25):
        write_detections(finished.session, finished.id, TableRequest(tmp_path / "tables", threshold=threshold))
        table = pd.read_csv(tmp_path / "tables" / "detections.csv", parse_dates=["recorded_at_utc"])
        found = finished.detections(threshold)
        assert len(found) > 0
        assert found["recorded_at_utc"].dtype.tz is not None
        pd.testing.assert_frame_equal(found, table, check_dtype=False)


def test_detections_by_class(finished: RunTables) -> None:
    found = finished.detections({"wren": 0.8})
    assert found[["recording", "start_s", "end_s", "label", "score"]].values.tolist() == [
        ["a, 1.wav", 0.0, 5.0, "robin", 0.9],
        ["b.wav", 0.0, 5.0, "robin", 0.5],
    ]
    none = finished.detections(1.0)
    assert len(none) == 0
    assert none.dtypes.tolist() == found.dtypes.tolist()
    with pytest.raises(ChorusError, match="a threshold for owl, but run 1 has the classes robin, wren"):
        finished.detections({"owl": 0.8})


def test_a_threshold_of_any_number_type_or_a_series_counts_and_others_are_refused(finished: RunTables) -> None:
    expected = finished.detections(0.25)
    assert len(expected) > len(finished.detections(0.5)) > 0
    for threshold in (np.float32(0.25), pd.Series({"robin": 0.25, "wren": 0.25})):
        pd.testing.assert_frame_equal(finished.detections(threshold), expected)
    with pytest.raises(ChorusError, match=r"the threshold is '0\.25'; give a number from 0 to 1, or one by class"):
        finished.detections("0.25")


def test_times_with_and_without_fractions_of_a_second_are_read() -> None:
    table = pd.DataFrame({"at": ["2026-05-01T04:30:00Z", "2026-05-01T04:30:00.250000Z", None]})
    found = typed(table, {"at": "utc"})["at"]
    assert (found[1] - found[0]).total_seconds() == 0.25
    assert pd.isna(found[2])


def test_scores_have_a_row_for_each_window_with_sound(finished: RunTables) -> None:
    found = finished.scores()
    assert found.columns.tolist() == ["recording", "start_s", "end_s", "robin", "wren"]
    assert found.values.tolist() == [
        ["a, 1.wav", 0.0, 5.0, np.float32(0.9), np.float32(0.1)],
        ["a, 1.wav", 5.0, 8.0, 0.25, 0.75],
        ["b.wav", 0.0, 5.0, 0.5, 0.5],
    ]
    assert found["wren"].dtype == np.float32


def test_recordings_of_a_prediction_are_listed_with_their_state(session: Session, tmp_path: Path) -> None:
    found = predicted(session, tmp_path / "data").recordings()
    assert found.columns.tolist() == ["recording", "duration_s", "state", "reason"]
    rows = found.astype(object).where(found.notna(), None).set_index("recording")
    assert rows.loc["a, 1.wav"].tolist() == [8.0, "done", None]
    assert rows.loc["c.wav"].tolist() == [10.0, "quarantined", "cannot be decoded"]
    assert rows.loc["empty.wav"].tolist()[:2] == [None, "quarantined"]
    assert len(rows) == 4


def test_a_damaged_file_of_scores_is_refused(finished: RunTables) -> None:
    [file] = (finished.session.settings.home / "store" / "predictions").rglob("*.parquet")
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    with pytest.raises(ChorusError, match="is not what was written"):
        finished.scores()
    file.unlink()
    with pytest.raises(ChorusError, match=r"is not in the store; `orchestrator doctor --repair`"):
        finished.detections()
    file.write_bytes(content)


def test_runs_that_have_no_such_table_are_refused(session: Session, tmp_path: Path) -> None:
    home = OpenHome(session)
    unfinished = home.run(submitted(session, tmp_path / "data"))
    with pytest.raises(ChorusError, match="run 1 is active and has no scores yet"):
        unfinished.detections()
    with pytest.raises(ChorusError, match="run 1 is a prediction and has no metrics"):
        unfinished.metrics()
    with pytest.raises(ChorusError, match="run 1 is a prediction and has no shards"):
        unfinished.shards()
    training = small_run(session.database, 1, [PlannedJob("pack", fold=-1, subset=0)])
    with pytest.raises(ChorusError, match="run 2 trains models"):
        home.run(training.run).scores()
    with pytest.raises(ChorusError, match="has packed 0 of 1 parts"):
        home.run(training.run).shards()
    with pytest.raises(ChorusError, match="there is no run 9"):
        home.run(9)


def test_runs_are_listed_also_if_there_are_none(session: Session) -> None:
    home = OpenHome(session)
    assert len(home.runs()) == 0
    small_run(session.database, 1)
    found = home.runs()
    assert found[["id", "state", "dataset"]].values.tolist() == [[1, "active", "/data"]]
    assert found["created_at"][0] > pd.Timestamp("2026-01-01", tz="UTC")
    assert pd.isna(found["finished_at"][0])


def test_recordings_of_a_training_are_listed_with_their_place_in_the_split(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of two recordings, of five."""
    monkeypatch.setattr(run_recordings, "_PAGE", 2)
    small = small_run(session.database, 5)
    first, second = small.ledger().claim_items(small.run, list(small.items[:2]))
    lost = Outcome(second, State.QUARANTINED, Reason(ReasonCode.EMPTY, "empty: 0 samples"))
    small.ledger().settle_items([done(first), lost])
    found = OpenHome(session).run(small.run).recordings()
    assert found.drop(columns=["group", "fold", "reason"]).values.tolist() == [
        ["a/0.ogg", "robin", "train", 1.0, "done"],
        ["a/1.ogg", "wren", "validation", 1.0, "quarantined"],
        ["a/2.ogg", "robin", "test", 1.0, "waiting"],
        ["a/3.ogg", "wren", "train", 1.0, "waiting"],
        ["a/4.ogg", "robin", "validation", 1.0, "waiting"],
    ]
    assert found["reason"].fillna("").tolist() == ["", "empty: 0 samples", "", "", ""]
    assert found["fold"].isna().all()


def test_metrics_are_listed_by_epoch_and_job(session: Session) -> None:
    small = small_run(session.database, 1, [PlannedJob("train", "cnn", 3, 2), PlannedJob("evaluate", "cnn", 3, 2)])
    for job, values in zip(status.jobs(session.database, small.run), ({1: 0.5, 2: 0.25}, {0: 0.75}), strict=True):
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        for epoch, value in values.items():
            small.ledger().write_metrics(claim, epoch, {"loss" if epoch else "accuracy": value})
    found = OpenHome(session).run(small.run).metrics()
    assert found.drop(columns="variant").values.tolist() == [
        ["train", "cnn", 3, 2, 1, "loss", 0.5],
        ["train", "cnn", 3, 2, 2, "loss", 0.25],
        ["evaluate", "cnn", 3, 2, 0, "accuracy", 0.75],
    ]


def packed(database: Database, store: Store, folds: tuple[int, ...] = (-1, -1)) -> SmallRun:
    """A run with a shard of six training examples, and one of three for tests."""
    jobs = [PlannedJob("pack", fold=fold, subset=subset) for fold, subset in zip(folds, (0, 2), strict=True)]
    small = small_run(database, 1, jobs)
    for job, n in zip(status.jobs(database, small.run), (6, 3), strict=True):
        [content] = shards(examples(n), "b" * 64, "a" * 64)
        key, sha256 = f"shards/{job.id}/0.parquet", content_digest(content)
        store.put(key, content)
        claim = small.ledger().claim_job(small.run, job.id, job.kind)
        assert claim is not None
        left = PackResult(f"shards/{job.id}", (key,), (sha256,), n)
        files = (OutputFile(key, FileRole.SHARD, len(content), sha256),)
        assert small.ledger().settle_job(claim, State.DONE, output=JobOutput(left, files))
    return small


def test_shards_are_one_dataset_with_their_subset_as_a_column(session: Session) -> None:
    found = OpenHome(session).run(packed(session.database, session.store).run).shards()
    assert found.count_rows() == 9
    table = found.to_table(columns=["subset", "fold", "label"], filter=ds.field("subset") == "test")
    assert table.to_pydict() == {"subset": ["test"] * 3, "fold": [None] * 3, "label": [0, 1, 0]}
    assert found.schema.metadata == {b"shape": f"[{N_MELS}, {N_FRAMES}]".encode()}
    spectrogram = found.head(1)["spectrogram"][0].as_py()
    expected = examples(1)[0].spectrogram
    np.testing.assert_array_equal(np.frombuffer(spectrogram, np.uint8).reshape(N_MELS, N_FRAMES), expected)


def test_shards_of_a_fold_are_chosen_by_a_column(session: Session) -> None:
    found = OpenHome(session).run(packed(session.database, session.store, folds=(0, 1)).run).shards()
    assert found.count_rows(filter=ds.field("fold") == 1) == 3


def test_one_of_several_presets_is_chosen_by_its_name(session: Session) -> None:
    """Two pipelines of one name: the second gets a number."""
    database = session.database
    small = packed(database, session.store)
    other = planning.ensure_pipeline(database, "q" * 64, "birdclef2021", {"name": "birdclef2021"})
    with database.write() as connection:
        connection.execute(sa.update(Job).where(Job.subset == 2).values(pipeline_id=other))
    run = OpenHome(session).run(small.run)
    with pytest.raises(ChorusError, match=r"choose one with preset=: birdclef2021, birdclef2021 \(2\)"):
        run.shards()
    assert run.shards("birdclef2021").count_rows() == 6
    assert run.shards("birdclef2021 (2)").count_rows() == 3


def test_damaged_shards_and_unknown_presets_are_refused(session: Session, tmp_path: Path) -> None:
    run = OpenHome(session).run(packed(session.database, session.store).run)
    with pytest.raises(ChorusError, match="no shards of the preset 'loud'; choose one with preset=: birdclef2021"):
        run.shards("loud")
    file = next((tmp_path / "home" / "store" / "shards").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ChorusError, match="is not what was written"):
        run.shards()


def test_copies_of_shards_on_s3_stay_as_long_as_the_dataset(s3_url: str, sqlite_url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    upgrade(database)
    store = open_store(s3_url, tmp_path / "cache", 0, plain_http=True)
    found = OpenHome(Session(Settings(home=tmp_path), database, store)).run(packed(database, store).run).shards()
    gc.collect()
    assert found.count_rows() == 9
    assert len(list((tmp_path / "cache" / "in-use").rglob("*.parquet"))) == 2
    del found
    gc.collect()
    assert list((tmp_path / "cache").rglob("*.parquet")) == []
    database.close()
