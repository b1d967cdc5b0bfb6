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
    Raises: Empty if the recording has no samples; TooShort if the whole recording is shorter than the preset's
    shortest recording; Silent if no chunk of this span holds sound; Inconsistent if the
    header declares this span but the content ends before its first chunk.
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
    kept = sounding(passage.span, n_chunks(n, span, preset), preset)
    if not kept.any():
        peak = max(passage.span.max(), -passage.span.min())
        where = f"{name}, span {span}," if span else name
        level = _described(passage.span, peak, preset)
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
