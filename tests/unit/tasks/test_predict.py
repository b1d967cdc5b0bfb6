"""The task `predict`: every window has the scores of its own spectrogram, in batches that overlap does not change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from db.ledger.claims import ItemClaim
from tasks import predict
from tasks.audio.preset import load_preset
from tasks.audio.window import window_starts_s
from tasks.model.inputs import RawBatch
from tasks.model.prediction_pipeline import PredictionPipeline, for_prediction
from tasks.model.span_scores import SpanScores
from tasks.runtime.sources import Sources
from tests.recordings import write_samples
from tests.unit.tasks.test_preprocess import claim_of

PRESET = for_prediction(load_preset("birdclef2021"))
DURATION_S = 83


class Levels:
    """A network without weights: one score follows from a spectrogram, the other from the whole batch."""

    facts = SimpleNamespace(labels=("window", "batch"), inputs=("spectrogram", "features"))

    def predict(self, raw: RawBatch) -> np.ndarray:
        means = raw.spectrograms.mean(axis=(1, 2)) / 255 + raw.features[:, 0]
        return np.stack([means, np.full(len(means), means.sum())], axis=1).astype(np.float32)


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ItemClaim:
    """Noise over two spans; 20 s of it are silent."""
    samples = (0.1 * np.random.default_rng(3).standard_normal(DURATION_S * 32_000)).astype(np.float32)
    samples[10 * 32_000 : 30 * 32_000] = 0
    monkeypatch.setattr(predict, "_networks", lambda _: [Levels(), Levels()])
    return claim_of(write_samples(tmp_path / "data" / "a.wav", samples), tmp_path / "data")


def scores_of(claim: ItemClaim, overlap_s: float) -> dict[float, list[float]]:
    """By start of the window, from both spans."""
    pipeline = PredictionPipeline(PRESET, (), overlap_s)
    found = {}
    for span in (0, 1):
        asked = replace(claim, span=span, pipeline=json.dumps(pipeline.as_dict()))
        file = predict.scores_file(asked, Sources())
        scores = SpanScores.from_bytes(file.data)
        assert f"scores/{pipeline.digest[:16]}/" in file.facts.key
        assert file.facts.n_chunks == len(scores.numbers)
        starts_s = window_starts_s(scores.numbers, span, PRESET, pipeline.step_samples)
        found.update(zip(starts_s.tolist(), scores.scores.tolist(), strict=True))
    return found


def test_windows_that_are_chunks_have_the_same_scores_whatever_the_overlap(claim: ItemClaim) -> None:
    chunks = scores_of(claim, 0.0)
    assert list(chunks) == [0, 5, *range(30, DURATION_S, 5)]
    for overlap_s in (2.5, 4.0):
        windows = scores_of(claim, overlap_s)
        assert {start_s: windows[start_s] for start_s in chunks} == chunks
    assert [start_s for start_s in range(DURATION_S) if start_s not in windows] == list(range(10, 26))


def test_a_window_has_the_score_of_its_own_spectrogram(claim: ItemClaim) -> None:
    """Windows of a step of 4 s are those among windows of a step of 2 s that start at its multiples."""
    some, more = scores_of(claim, 1.0), scores_of(claim, 3.0)
    assert len(some) > 10
    assert {start_s: more[start_s][0] for start_s in some} == {start_s: row[0] for start_s, row in some.items()}
