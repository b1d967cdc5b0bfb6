"""A span that cannot become a strip is refused with its reason before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest

from domain.errors import Empty, Inconsistent, Silent, TooShort
from tasks.audio.gate import sounding_chunks
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage
from tasks.model.prediction_pipeline import for_prediction
from tests.unit.audio.signals import noise


def _passage(samples: np.ndarray, start: int = 0) -> Passage:
    return Passage(samples, start, len(samples))


@pytest.mark.parametrize(
    ("passage", "span", "reason"),
    [
        (_passage(np.zeros(0, np.float32)), 0, Empty),
        (_passage(noise(3_199)), 0, TooShort),
        (_passage(np.zeros(32_000, np.float32)), 0, Silent),
        (_passage(np.full(32_000, 0.99e-4, np.float32)), 0, Silent),
        (_passage(np.tile(np.float32([0.99e-4, -0.99e-4]), 16_000)), 0, Silent),
        (_passage(np.full(32_000, -0.3, np.float32)), 0, Silent),
        (_passage(noise(30_000), 30_000), 1, Inconsistent),
        (_passage(noise(30_000 + 79_999), 30_000), 1, Inconsistent),
        (_passage(np.concatenate([noise(30_000), np.zeros(160_000, np.float32)]), 30_000), 1, Silent),
    ],
)
def test_an_unusable_span_is_refused_with_its_reason(
    passage: Passage, span: int, reason: type[Exception], preset: Preset
) -> None:
    with pytest.raises(reason, match=r"wren\.wav"):
        sounding_chunks(passage, "wren.wav", span, preset)


@pytest.mark.parametrize(
    ("passage", "span"),
    [
        (_passage(noise(3_200)), 0),
        (_passage(np.tile(np.float32([1.01e-4, -1.01e-4]), 16_000)), 0),
        (_passage(noise(30_000 + 80_000), 30_000), 1),
    ],
)
def test_a_span_exactly_at_the_limits_passes(passage: Passage, span: int, preset: Preset) -> None:
    sounding_chunks(passage, "wren.wav", span, preset)


SECONDS = 32_000


def _silence_and(pieces: dict[int, np.ndarray], n_chunks: int = 4) -> Passage:
    """A span of digital zeros with other samples at some seconds."""
    samples = np.zeros(n_chunks * 5 * SECONDS, np.float32)
    for second, piece in pieces.items():
        samples[second * SECONDS :][: len(piece)] = piece
    return _passage(samples)


@pytest.mark.parametrize(
    ("passage", "kept"),
    [
        (_silence_and({6: noise(SECONDS)}), [False, True, False, False]),
        (_silence_and({1: np.float32([0.9]), 6: noise(SECONDS), 17: np.full(100, 0.5, np.float32)}), [0, 1, 0, 0]),
        (_silence_and({1: noise(400), 10: np.full(5 * SECONDS, 0.2, np.float32), 15: noise(9)}), [1, 0, 0, 0]),
        (_silence_and({0: np.float32([0.9]), 4: np.float32([0.9]), 6: noise(SECONDS)}), [True, True, False, False]),
        (_passage(np.full(20 * SECONDS, 0.1, np.float32) + noise(20 * SECONDS, 1e-3)), [True] * 4),
    ],
    ids=[
        "silence around a sound",
        "lone clicks",
        "a constant, and a burst of 12 ms",
        "two clicks are a rhythm",
        "an offset",
    ],
)
def test_only_chunks_with_sound_are_kept(passage: Passage, kept: list[bool], preset: Preset) -> None:
    assert sounding_chunks(passage, "wren.wav", 0, preset).tolist() == [bool(each) for each in kept]


@pytest.mark.parametrize(("n_samples", "is_kept"), [(1, False), (8, False), (17, False), (400, True), (2_000, True)])
def test_the_shortest_tails_of_predictions_are_silent_or_sound(n_samples: int, is_kept: bool, preset: Preset) -> None:
    passage = _passage(np.concatenate([noise(5 * SECONDS), noise(n_samples)]))
    assert sounding_chunks(passage, "wren.wav", 0, for_prediction(preset)).tolist() == [True, is_kept]
