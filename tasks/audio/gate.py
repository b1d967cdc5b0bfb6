"""Checks on the decoded samples of a span, before anything is computed from them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from domain.errors import Empty, Inconsistent, Silent, TooShort
from tasks.audio.chunk import n_chunks
from tasks.audio.levels import sounding
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage, Samples

Flags = npt.NDArray[np.bool_]


def sounding_chunks(passage: Passage, name: str, span: int, preset: Preset) -> Flags:
    """Return which chunks of a passage's span hold sound, (n,) bool; at least one does.

    name: of the recording, for the error message.  span: the span's number, from 0.
    Raises: the errors of `check_length` and `sounding_windows`.
    """
    check_length(passage, name, span, preset)
    size = preset.chunk_samples
    starts = range(0, n_chunks(passage.stop - passage.start, span, preset) * size, size)
    return sounding_windows(passage.span, starts, name, span, preset)


def check_length(passage: Passage, name: str, span: int, preset: Preset) -> None:
    """Check that a passage's span holds a chunk.

    name: of the recording, for the error message.  span: the span's number, from 0.
    Raises: Empty if the recording has no samples; TooShort if the whole recording is shorter than the preset's
    shortest recording; Inconsistent, or Silent if the preset drops no tails, if the header declares this span but the
    content ends before its first chunk.
    """
    n = passage.stop - passage.start
    rate_hz, shortest_s = preset.decode.rate_hz, preset.gate.shortest_s
    if span == 0 and n == 0:
        raise Empty(f"{name} contains no samples")
    if span == 0 and n < shortest_s * rate_hz:
        raise TooShort(f"{name} lasts {n / rate_hz:.4f} s; the preset requires at least {shortest_s} s")
    if n == 0 and preset.chunk.shortest_tail_s == 0:  # decoding tolerates a header that declares 0.1 s too much
        raise Silent(f"{name}, span {span}, has no samples")
    if n_chunks(n, span, preset) == 0:
        raise Inconsistent(f"{name} ends before the first chunk of span {span}, which its header declares")


def sounding_windows(samples: Samples, starts: range, name: str, span: int, preset: Preset) -> Flags:
    """Return which windows of a span hold sound, (n,) bool; at least one does.

    samples: (n,) float32, the span before noise is removed, and what its windows cover of the next one.
    starts: of the windows, in `samples`.  name, span: as for `check_length`.
    Raises: Silent if no window holds sound, or if none starts in this span.
    """
    if not starts:
        raise Silent(f"{name}, span {span}, holds no start of a window")
    kept = sounding(samples, starts, preset)
    if not kept.any():
        peak = max(samples.max(), -samples.min())
        where = f"{name}, span {span}," if span else name
        level = _described(samples, peak, preset)
        raise Silent(f"{where} {level}; the preset requires a peak of at least {preset.gate.silence_dbfs:g} dBFS")
    return kept


def _described(span: Samples, peak: float, preset: Preset) -> str:
    """Say what a silent span contains. peak: its largest absolute value."""
    if peak == 0:
        return "contains only zeros"
    if span.max() == span.min():
        return "contains one constant value"
    if peak < 10 ** (preset.gate.silence_dbfs / 20):
        return f"peaks at {20 * math.log10(peak):.1f} dBFS"
    return "contains silence and lone clicks"
