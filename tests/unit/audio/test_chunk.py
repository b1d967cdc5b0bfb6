"""Recordings are divided as the preset says, with its rule for the tail; a false header cannot add spans."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.audio.chunk import chunks, n_chunks, n_spans
from tasks.audio.preset import Preset

RATE_HZ = 32_000
LARGE = 1 << 40


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [(0, 1), (0.2, 1), (75, 1), (77.4, 1), (77.5, 2), (80, 2), (150, 2), (152.4, 2), (160, 3), (36_000, 480)],
)
def test_spans_last_75_seconds_and_the_last_span_has_at_least_one_chunk(
    duration_s: float, expected: int, preset: Preset
) -> None:
    assert n_spans(round(duration_s * RATE_HZ), RATE_HZ, LARGE, preset) == expected


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 192_000])
def test_the_number_of_spans_does_not_depend_on_the_sampling_rate(rate_hz: int, preset: Preset) -> None:
    assert n_spans(160 * rate_hz, rate_hz, LARGE, preset) == 3


@pytest.mark.parametrize(
    ("n_frames", "rate_hz", "size_bytes"),
    [
        (2**63 - 1, 32_000, 1_086_457),
        (-1, 32_000, 1_000),
        (0, 32_000, 44),
        (10**12, 32_000, 10**6),
        (10**9, 1, 10**10),
        (10**9, 0, 10**10),
        (10**9, -5, 10**10),
        (10**9, 10**7, 10**10),
        (10**6, 44_100, 0),
    ],
)
def test_an_impossible_header_gives_one_span(n_frames: int, rate_hz: int, size_bytes: int, preset: Preset) -> None:
    assert n_spans(n_frames, rate_hz, size_bytes, preset) == 1


@pytest.mark.parametrize(
    ("duration_s", "span", "expected"),
    [(0.1, 0, 1), (2.4, 0, 1), (5, 0, 1), (7.4, 0, 1), (7.5, 0, 2), (75, 0, 15), (2.4, 1, 0), (2.5, 1, 1), (0, 0, 0)],
)
def test_a_short_tail_is_dropped_unless_it_is_the_whole_recording(
    duration_s: float, span: int, expected: int, preset: Preset
) -> None:
    n = round(duration_s * RATE_HZ)
    assert n_chunks(n, span, preset) == expected
    assert chunks(np.ones(n, np.float32), span, preset).shape == (expected, 160_000)


def test_zeros_pad_a_short_chunk(preset: Preset) -> None:
    cut = chunks(np.ones(4 * RATE_HZ, np.float32), 0, preset)
    assert cut[0, : 4 * RATE_HZ].all()
    assert not cut[0, 4 * RATE_HZ :].any()
