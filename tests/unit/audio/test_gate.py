"""A span that cannot become a strip is refused with its reason before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest

from domain.errors import Empty, Inconsistent, Silent, TooShort
from tasks.audio.gate import check_passage
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage
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
        (_passage(np.full(32_000, -0.99e-4, np.float32)), 0, Silent),
        (_passage(noise(30_000), 30_000), 1, Inconsistent),
        (_passage(noise(30_000 + 79_999), 30_000), 1, Inconsistent),
        (_passage(np.concatenate([noise(30_000), np.zeros(160_000, np.float32)]), 30_000), 1, Silent),
    ],
)
def test_an_unusable_span_is_refused_with_its_reason(
    passage: Passage, span: int, reason: type[Exception], preset: Preset
) -> None:
    with pytest.raises(reason, match=r"wren\.wav"):
        check_passage(passage, "wren.wav", span, preset)


@pytest.mark.parametrize(
    ("passage", "span"),
    [
        (_passage(noise(3_200)), 0),
        (_passage(np.full(32_000, 1.01e-4, np.float32)), 0),
        (_passage(np.full(32_000, -1.01e-4, np.float32)), 0),
        (_passage(noise(30_000 + 80_000), 30_000), 1),
    ],
)
def test_a_span_exactly_at_the_limits_passes(passage: Passage, span: int, preset: Preset) -> None:
    check_passage(passage, "wren.wav", span, preset)
