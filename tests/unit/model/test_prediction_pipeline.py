"""What makes scores has a digest; files of scores are the same bytes for the same scores."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from domain.digests import digest_of
from tasks.audio.chunk import n_chunks, n_spans
from tasks.audio.containers.header_texts import HeaderTexts
from tasks.audio.preset import PresetError, load_preset
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction, pipeline_digest
from tasks.model.span_scores import SpanScores

PRESET = for_prediction(load_preset("birdclef2021"))
NETWORKS = tuple(NetworkFile(f"networks/{name}.onnx", name * 64) for name in "ab")


def test_every_tail_is_a_chunk_of_a_prediction() -> None:
    assert [n_chunks(round(seconds * 32_000), 0, PRESET) for seconds in (1, 5.1, 7.4, 75)] == [1, 2, 2, 15]
    assert [n_spans(round(seconds * 32_000), 32_000, 10**9, PRESET) for seconds in (75, 75.1, 150)] == [1, 2, 2]


def test_the_digest_follows_from_preset_and_networks_in_their_order_but_not_from_their_keys() -> None:
    pipeline = PredictionPipeline(PRESET, NETWORKS)
    renamed = PredictionPipeline(PRESET, tuple(NetworkFile("other", each.sha256) for each in NETWORKS))
    others = [
        PredictionPipeline(PRESET, NETWORKS[::-1]),
        PredictionPipeline(PRESET, NETWORKS[:1]),
        PredictionPipeline(load_preset("birdclef2021"), NETWORKS),
        PredictionPipeline(PRESET, NETWORKS, 2.5),
        PredictionPipeline(PRESET, NETWORKS, 2.0),
    ]
    assert renamed.digest == pipeline.digest
    assert len({pipeline.digest, PRESET.digest, *(each.digest for each in others)}) == 7


def test_a_pipeline_without_overlap_keeps_the_name_and_the_parameters_of_earlier_versions() -> None:
    known = {"prediction": 1, "preset": PRESET.digest, "networks": [each.sha256 for each in NETWORKS]}
    pipeline = PredictionPipeline(PRESET, NETWORKS, 0.0)
    assert pipeline.digest == digest_of(known)
    assert pipeline.as_dict()["prediction"] == {"networks": [asdict(each) for each in NETWORKS]}


@pytest.mark.parametrize("overlap_s", [0.0, 2.5])
def test_a_pipeline_comes_back_from_the_ledger(overlap_s: float) -> None:
    pipeline = PredictionPipeline(PRESET, NETWORKS, overlap_s)
    assert PredictionPipeline.from_json(json.dumps(pipeline.as_dict())) == pipeline
    assert pipeline_digest(pipeline.as_dict()) == pipeline.digest
    assert pipeline_digest(PRESET.as_dict()) == PRESET.digest
    with pytest.raises(PresetError):
        pipeline_digest({**pipeline.as_dict(), "mel": {}})


def test_windows_that_cannot_overlap_so_are_refused() -> None:
    with pytest.raises(PresetError, match=r"must be from 0 to 4\.5 s"):
        PredictionPipeline(PRESET, NETWORKS, 5.0)


def test_scores_come_back_and_have_the_same_bytes() -> None:
    scores = SpanScores(np.array([0, 2], np.int32), np.array([[0.25, 0.75], [1, 0]], np.float32))
    data = scores.to_bytes()
    found = SpanScores.from_bytes(data)
    assert found.numbers.tolist() == [0, 2]
    assert found.scores.tolist() == [[0.25, 0.75], [1, 0]]
    assert scores.to_bytes() == data
    empty = SpanScores.from_bytes(SpanScores(np.zeros(0, np.int32), np.zeros((0, 3), np.float32)).to_bytes())
    assert empty.scores.shape == (0, 3)


def test_the_header_of_the_first_span_comes_back() -> None:
    header = HeaderTexts(comment="Recorded at 04:30:00 21/05/2023 (UTC) by ", guano="Timestamp: é")
    scores = SpanScores(np.zeros(0, np.int32), np.zeros((0, 2), np.float32), header)
    assert SpanScores.from_bytes(scores.to_bytes()).header == header
