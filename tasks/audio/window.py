"""Where the windows of a prediction start: at every multiple of a step from the beginning of the recording.

A window is as long as a chunk, and belongs to the span in which it starts. Without overlap, windows are chunks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.audio.parameters import PresetError
from tasks.audio.preset import Preset

Numbers = npt.NDArray[np.int32]

_SHORTEST_STEP = 0.1  # of a window: more windows than that cost time and tell nothing new
_TOLERANCE = 1e-6  # of a sample: 0.29 s at 100 Hz are not exactly 29 samples


def step_samples(overlap_s: float, preset: Preset) -> int:
    """Return the samples between the starts of two windows, > 0.

    overlap_s: of two windows that follow each other, in s.
    Raises: PresetError if it is negative, longer than nine tenths of a window, or no whole number of samples.

    >>> from tasks.audio.preset import load_preset
    >>> step_samples(2.5, load_preset("birdclef2021"))
    80000
    """
    window_s, rate_hz = preset.chunk.duration_s, preset.decode.rate_hz
    longest_s = (1 - _SHORTEST_STEP) * window_s
    if not 0 <= overlap_s <= longest_s:
        raise PresetError(
            f"windows of {window_s:g} s overlap by {overlap_s} s; the overlap must be from 0 to {longest_s:g} s"
        )
    overlap = round(overlap_s * rate_hz)
    if abs(overlap - overlap_s * rate_hz) > _TOLERANCE:
        raise PresetError(
            f"windows overlap by {overlap_s} s; at {rate_hz} Hz that must be a whole number of samples, such as "
            f"{round(overlap_s, 1)} s"
        )
    return preset.chunk_samples - overlap


def window_starts(n_samples: int, span: int, preset: Preset, step: int) -> range:
    """Return the starts of the windows of a span, in samples from its beginning.

    n_samples: length of the span, >= 0.  span: the span's number, from 0.  step: see `step_samples`.

    >>> from tasks.audio.preset import load_preset
    >>> [start / 32_000 for start in window_starts(9 * 32_000, 1, load_preset("birdclef2021"), 4 * 32_000)]
    [1.0, 5.0]
    """
    return range(-span * preset.span_samples % step, n_samples, step)


def window_starts_s(numbers: Numbers, span: int, preset: Preset, step: int) -> npt.NDArray[np.float64]:
    """Return the starts of windows in s from the beginning of the recording, (n,) float64.

    numbers: (n,), of the windows within the span.  span, step: as for `window_starts`.
    """
    return (span * preset.span_samples + _starts(numbers, span, preset, step)) / preset.decode.rate_hz


def window_phases(numbers: Numbers, span: int, preset: Preset, step: int) -> npt.NDArray[np.int64]:
    """Return how many samples after the start of a chunk each window starts, (n,) from 0; 0: the window is a chunk.

    numbers, span, step: as for `window_starts_s`.
    """
    return _starts(numbers, span, preset, step) % preset.chunk_samples


def _starts(numbers: Numbers, span: int, preset: Preset, step: int) -> npt.NDArray[np.int64]:
    return window_starts(1, span, preset, step).start + numbers.astype(np.int64) * step
