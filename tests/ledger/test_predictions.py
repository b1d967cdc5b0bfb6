"""Predictions in the ledger: spans on trust, and the file of all scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from db.engine import Database
from db.ledger.claims import ItemClaim, Ledger, Outcome, StripFacts
from db.ledger.discovery import FoundFile
from db.queries.integrity import make_strips_again
from db.queries.trained_recordings import n_trained_on
from db.schema.tables import Item
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from domain.digests import content_digest
from domain.errors import MachineFault
from domain.reasons import Reason, ReasonCode
from domain.states import State
from domain.subsets import HOLDOUT, Subset
from orchestrator.planning.model_choice import ChosenModel
from orchestrator.planning.prediction_plan import PredictionRequest, dry_prediction, submit_prediction
from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts
from tasks.audio.preset import load_preset
from tasks.collect import scores_in_store
from tasks.dataset.layouts.unlabelled import open_recordings
from tasks.detections.score_file import ScoredRecording, read_scores
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction
from tasks.model.span_scores import SpanScores
from tests.ledger_rows import item_ids
from tests.recordings import write_tone

PIPELINE = PredictionPipeline(for_prediction(load_preset("birdclef2021")), (NetworkFile("networks/a.onnx", "a" * 64),))
MODEL = ChosenModel("1:cnn", "cnn, the only classifier of run 1", ("robin", "wren"), PIPELINE)


def planned(database: Database, path: Path, *, trust_csv: bool = False, model: ChosenModel = MODEL) -> int:
    layout = open_recordings(path, is_trusted=trust_csv)
    return submit_prediction(database, layout, PredictionRequest(model, str(path), trust_csv), lambda _: None).run


def scored(
    claim: ItemClaim, store: FolderStore, found: FoundFile | None = None, n: int = 15, header: HeaderTexts = NO_TEXTS
) -> Outcome:
    """The outcome of a worker that found n chunks in the span; every score says which chunk it is of."""
    scores = np.array([[claim.span, number] for number in range(n)], np.float32) / 100
    data = SpanScores(np.arange(n, dtype=np.int32), scores, header).to_bytes()
    key = f"scores/{claim.id}.npz"
    store.put(key, data)
    return Outcome(claim, State.DONE, strip=StripFacts(key, len(data), content_digest(data), n, found=found))


def claims(database: Database, run: int) -> list[ItemClaim]:
    return Ledger(database, "w1", 60.0, 1).claim_items(run, item_ids(database, run))


def settle(database: Database, outcomes: list[Outcome]) -> None:
    Ledger(database, "w1", 60.0, 1).settle_items(outcomes)


def collected(
    database: Database, store: FolderStore, run: int, at_step: Callable[[], None] = lambda: None
) -> list[ScoredRecording]:
    claim = SimpleNamespace(kind="collect", id=1, run=run, pipeline_id=None)
    work: Any = SimpleNamespace(database=database, store=store, claim=claim, require_claim=at_step)
    output = scores_in_store(work)
    return list(read_scores(store.local(output.files[0].key))[1])


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A recording of three spans: 75 s, 75 s and 7 s."""
    return write_tone(tmp_path / "data" / "long.wav", 1000.0, 157.0, rate_hz=8_000)


def test_the_windows_of_all_spans_follow_each_other(database: Database, long: Path, tmp_path: Path) -> None:
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long)
    lengths = (15, 15, 2)
    settle(database, [scored(claim, store, n=n) for claim, n in zip(claims(database, run), lengths, strict=True)])
    [found] = collected(database, store, run)
    assert found.starts_s.tolist() == [5.0 * number for number in range(32)]
    assert found.scores[15].tolist() == pytest.approx([0.01, 0.0])
    assert (found.duration_s, found.is_quarantined, found.reason) == (157.0, False, None)


OVERLAPPING = replace(MODEL, pipeline=replace(PIPELINE, overlap_s=1.0))


def test_overlapping_windows_go_on_across_spans(database: Database, long: Path, tmp_path: Path) -> None:
    """They start every 4 s, also where a span of 75 s ends."""
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long, model=OVERLAPPING)
    lengths = (19, 19, 2)
    settle(database, [scored(claim, store, n=n) for claim, n in zip(claims(database, run), lengths, strict=True)])
    [found] = collected(database, store, run)
    assert found.starts_s.tolist() == [4.0 * number for number in range(40)]
    [file] = (tmp_path / "store").glob("predictions/*/scores.parquet")
    assert read_scores(file)[0].overlap_s == 1.0


def test_scores_of_one_overlap_are_no_scores_of_another(database: Database, long: Path, tmp_path: Path) -> None:
    upgrade(database)
    store = FolderStore(tmp_path / "store")
    settle(database, [scored(claim, store) for claim in claims(database, planned(database, long))])
    assert claims(database, planned(database, long)) == []
    assert len(claims(database, planned(database, long, model=OVERLAPPING))) == 3


def test_the_work_of_a_span_follows_its_windows_and_the_plan_names_them(database: Database, long: Path) -> None:
    upgrade(database)
    work_s = []
    for overlap_s in (0.0, 2.5, 4.5):
        model = replace(MODEL, pipeline=replace(PIPELINE, overlap_s=overlap_s))
        run = planned(database, long, model=model)
        with database.read() as connection:
            work_s.append(connection.scalar(sa.select(sa.func.sum(Item.work_s)).where(Item.run_id == run)))
    # 157 s have 31.4, 62.8 and 314 windows.
    assert (work_s[2] - work_s[0]) / (work_s[1] - work_s[0]) == pytest.approx(9)
    layout = open_recordings(long, is_trusted=False)
    plan = dry_prediction(database, layout, PredictionRequest(OVERLAPPING, str(long)), lambda _: None)
    assert "windows of 5 s, one every 4 s" in plan.lines


def test_windows_beyond_the_stated_length_are_left_out(database: Database, long: Path, tmp_path: Path) -> None:
    """A decoder may find a tenth of a second more than the header states."""
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long)
    settle(database, [scored(claim, store, n=n) for claim, n in zip(claims(database, run), (15, 15, 3), strict=True)])
    [found] = collected(database, store, run)
    assert found.starts_s[-1] == 155.0


def test_a_recording_that_lost_a_span_is_named_with_its_time_and_keeps_its_other_windows(
    database: Database, long: Path, tmp_path: Path
) -> None:
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long)
    first, second, third = claims(database, run)
    lost = Outcome(second, State.QUARANTINED, Reason(ReasonCode.UNREADABLE, "cannot be decoded"))
    settle(database, [scored(first, store), lost, scored(third, store, n=2)])
    [found] = collected(database, store, run)
    assert found.starts_s.tolist() == [5.0 * number for number in (*range(15), 30, 31)]
    assert found.is_quarantined
    assert found.reason == "1 span of 3, of 75 s each, from 75 s: cannot be decoded"
    assert found.unusable == ((75.0, 150.0),)


@pytest.mark.parametrize(
    ("overlap_s", "lost", "unusable"),
    [
        (0.0, {1}, ((75.0, 150.0),)),
        (1.0, {1}, ((73.0, 152.0),)),  # windows start every 4 s: that from 72 s would cross into the lost span
        (2.5, {1}, ((75.0, 150.0),)),
        (1.0, {0}, ((0.0, 76.0),)),
        (1.0, {1, 2}, ((73.0, 157.0),)),
        (1.0, {0, 2}, ((0.0, 76.0), (149.0, 157.0))),
    ],
)
def test_what_no_window_covers_beside_lost_spans_is_unusable_too(
    overlap_s: float,
    lost: set[int],
    unusable: tuple[tuple[float, float], ...],
    database: Database,
    long: Path,
    tmp_path: Path,
) -> None:
    upgrade(database)
    model = replace(MODEL, pipeline=replace(PIPELINE, overlap_s=overlap_s))
    store, run = FolderStore(tmp_path / "store"), planned(database, long, model=model)
    reason = Reason(ReasonCode.UNREADABLE, "cannot be decoded")
    settle(database, [
        Outcome(claim, State.QUARANTINED, reason) if claim.span in lost else scored(claim, store, n=1)
        for claim in claims(database, run)
    ])  # fmt: skip
    assert collected(database, store, run)[0].unusable == unusable


def test_the_time_in_the_header_is_known_if_only_a_later_span_was_predicted(
    database: Database, long: Path, tmp_path: Path
) -> None:
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long)
    first, second, third = claims(database, run)
    header = HeaderTexts(guano="Timestamp: 2020-12-14T19:22:55-05:00")
    lost = Outcome(first, State.QUARANTINED, Reason(ReasonCode.UNREADABLE, "cannot be decoded"))
    settle(database, [lost, scored(second, store, header=header), scored(third, store, n=2, header=header)])
    [found] = collected(database, store, run)
    assert found.clock is not None
    assert found.clock.offset == timedelta(hours=-5)


def test_the_time_is_from_the_header_that_the_first_span_kept_else_from_the_name(
    database: Database, tmp_path: Path
) -> None:
    upgrade(database)
    for number, name in enumerate(("a.wav", "S_20230521_043000.wav", "S_20230522_043000.wav", "b.wav")):
        write_tone(tmp_path / "data" / name, 1000.0 + number, 2.0, rate_hz=8_000)
    store, run = FolderStore(tmp_path / "store"), planned(database, tmp_path / "data")
    headers = {"a.wav": HeaderTexts(guano="Timestamp: 2020-12-14T19:22:55-05:00")}
    lost = Reason(ReasonCode.UNREADABLE, "cannot be decoded")
    outcomes = [
        Outcome(claim, State.QUARANTINED, lost)
        if claim.uri == "S_20230522_043000.wav"
        else scored(claim, store, n=1, header=headers.get(claim.uri, NO_TEXTS))
        for claim in claims(database, run)
    ]
    settle(database, outcomes)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    clocks = {each.uri: each.clock for each in collected(database, store, run)}
    assert clocks["b.wav"] is None
    assert {uri: (str(clock.time), clock.offset, clock.is_header) for uri, clock in clocks.items() if clock} == {
        "a.wav": ("2020-12-14 19:22:55", timedelta(hours=-5), True),
        "S_20230521_043000.wav": ("2023-05-21 04:30:00", None, False),
        "S_20230522_043000.wav": ("2023-05-22 04:30:00", None, False),
    }


def test_a_span_that_waits_again_during_collecting_ends_the_attempt(
    database: Database, long: Path, tmp_path: Path
) -> None:
    upgrade(database)
    store, run = FolderStore(tmp_path / "store"), planned(database, long)
    taken = claims(database, run)
    settle(database, [scored(claim, store, n=2) for claim in taken])
    lost = [f"scores/{taken[2].id}.npz"]

    def lose() -> None:
        if lost:
            make_strips_again(database, [lost.pop()])

    with pytest.raises(MachineFault, match="changed during collecting"):
        collected(database, store, run, at_step=lose)
    assert not list((tmp_path / "store").glob("predictions/*/*.parquet"))


def test_a_run_on_trust_gets_all_spans_even_if_another_run_made_the_first_one(
    database: Database, long: Path, tmp_path: Path
) -> None:
    upgrade(database)
    table = long.parent / "list.csv"
    table.write_text("path\nlong.wav\n")
    store = FolderStore(tmp_path / "store")
    one, other = (planned(database, table, trust_csv=True) for _ in range(2))
    found = FoundFile("f" * 64, 100, 1, 157 * 8_000, 8_000, 3)
    for run in (one, other):
        [first] = claims(database, run)
        assert not first.is_made
        settle(database, [scored(first, store, found)])
        rest = claims(database, run)
        assert [claim.span for claim in rest] == [1, 2]
        settle(database, [scored(claim, store, n=claim.span) for claim in rest])
        [recording] = collected(database, store, run)
        assert recording.starts_s.tolist() == [5.0 * number for number in (*range(15), 15, 30, 31)]


@pytest.mark.parametrize(
    ("parts", "fold", "n_trained"),
    [
        ([(HOLDOUT, Subset.TRAIN), (HOLDOUT, Subset.VALID), (HOLDOUT, Subset.TEST)], None, 2),
        ([(0, Subset.TRAIN), (1, Subset.TRAIN), (HOLDOUT, Subset.TEST)], None, 2),
        ([(0, Subset.TRAIN), (1, Subset.TRAIN), (1, Subset.TEST)], None, 3),
        ([(0, Subset.TRAIN), (1, Subset.TRAIN), (HOLDOUT, Subset.TEST)], 1, 1),
    ],
)
def test_recordings_of_a_prediction_that_its_model_was_trained_on(
    parts: list[tuple[int, Subset]], fold: int | None, n_trained: int, database: Database, tmp_path: Path
) -> None:
    """The mean of all folds has seen every recording that is in a fold; one fold has not seen its own part."""
    upgrade(database)
    for number in range(3):
        for place in ("trained", "new"):
            write_tone(tmp_path / place / f"{number}.wav", 1000.0 + number, 5.0)
    trained = planned(database, tmp_path / "trained")
    with database.write() as connection:
        for item, (item_fold, subset) in zip(item_ids(database, trained), parts, strict=True):
            values = {"fold": item_fold, "subset": subset}
            connection.execute(sa.update(Item).where(Item.id == item).values(**values))
    request = PredictionRequest(replace(MODEL, run=trained, fold=fold), "new")
    layout = open_recordings(tmp_path / "new", is_trusted=False)
    run = submit_prediction(database, layout, request, lambda _: None).run
    assert n_trained_on(database, run) == n_trained


def test_a_model_of_files_has_no_known_training(database: Database, long: Path) -> None:
    upgrade(database)
    assert n_trained_on(database, planned(database, long)) == 0
