"""Checks on the decoded samples of a span, before anything is computed from them."""

from __future__ import annotations

import math

from domain.errors import Empty, Inconsistent, Silent, TooShort
from tasks.audio.chunk import n_chunks
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage


def check_passage(passage: Passage, name: str, span: int, preset: Preset) -> None:
    """Check that the span of a passage can become a strip.

    name: of the recording, for the error message.  span: the span's number, from 0.
    Raises: Empty if the recording has no samples; TooShort if the whole recording is shorter than the preset's
    shortest recording; Silent if this span has no sample at the preset's silence level or above; Inconsistent if the
    header declares this span but the content ends before its first chunk.
    """
    n = passage.stop - passage.start
    rate_hz, shortest_s = preset.decode.rate_hz, preset.gate.shortest_s
    if span == 0 and n == 0:
        raise Empty(f"{name} contains no samples")
    if span == 0 and n < shortest_s * rate_hz:
        raise TooShort(f"{name} lasts {n / rate_hz:.4f} s; the preset requires at least {shortest_s} s")
    if n_chunks(n, span, preset) == 0:
        raise Inconsistent(f"{name} ends before the first chunk of span {span}, which its header declares")
    peak = max(passage.span.max(), -passage.span.min())
    if peak < 10 ** (preset.gate.silence_dbfs / 20):
        where = f"{name}, span {span}," if span else name
        level = f"peaks at {20 * math.log10(peak):.1f} dBFS" if peak > 0 else "contains only zeros"
        raise Silent(f"{where} {level}; the preset requires a peak of at least {preset.gate.silence_dbfs:g} dBFS")
