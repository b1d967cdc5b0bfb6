"""The gate before the picture: what a span must have to be worth one."""

from __future__ import annotations

import math

from domain.errors import Empty, Inconsistent, Silent, TooShort
from tasks.audio.chunk import n_chunks
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage


def check_passage(passage: Passage, name: str, span: int, preset: Preset) -> None:
    """Nothing for a span that can become a strip.

    Raises Empty (no samples), TooShort (the whole recording), Silent (this span), and Inconsistent for a span that
    the header promised and the content does not reach.
    """
    n = passage.stop - passage.start
    rate_hz, shortest_s = preset.decode.rate_hz, preset.gate.shortest_s
    if span == 0 and n == 0:
        raise Empty(f"{name} holds no samples")
    if span == 0 and n < shortest_s * rate_hz:
        raise TooShort(f"{name} lasts {n / rate_hz:.4f} s; the preset's shortest recording is {shortest_s} s")
    if n_chunks(n, span, preset) == 0:
        raise Inconsistent(f"{name} ends before span {span}, which its header promises, has a chunk")
    peak = max(passage.span.max(), -passage.span.min())
    if peak < 10 ** (preset.gate.silence_dbfs / 20):
        where = f"{name}, span {span}," if span else name
        level = f"peaks at {20 * math.log10(peak):.1f} dBFS" if peak > 0 else "holds nothing but zeros"
        raise Silent(f"{where} {level}; a recording needs {preset.gate.silence_dbfs:g} dBFS at least")
