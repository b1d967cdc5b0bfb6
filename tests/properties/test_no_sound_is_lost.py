"""For every recording of a dataset, seconds in = seconds used + seconds named as unusable, to a chunk.

Containers, lengths, damage and layouts are random; planning and preprocessing happen in this process.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import Unusable
from domain.notes import NoteCode
from tasks.audio.chunk import n_spans
from tasks.audio.preset import load_preset
from tasks.audio.recording import probe
from tasks.audio.strip import make_strip
from tasks.dataset.layouts import LayoutError, Row, UnusableRow, open_layout
from tests.properties.test_pieces import FORMATS, RATE_HZ
from tests.unit.audio.files import Samples, encoded, tone

_PRESET = load_preset("broadband")  # not denoised, so quick
PRESET = replace(_PRESET, decode=replace(_PRESET.decode, span_s=10))
CHUNK_S = PRESET.chunk.duration_s
LONGEST_S = 24.0
ENDINGS = {"WAVEX": "wav", "RF64": "wav", "AIFF": "aiff", "W64": "w64", "CAF": "caf", "AU": "au"}
LAYOUTS = ("class folders", "split folders", "split inside", "table", "table of the first")


@dataclass(frozen=True)
class Given:
    """One file: how it is encoded, how long it is, and what was done to its bytes.

    at: where in the file, as a share of its bytes.  ending: of its name; None for that of its format.
    """

    kind: str
    subtype: str
    duration_s: float
    damage: str
    at: float
    ending: str | None


_GIVEN = st.builds(
    lambda how, *rest: Given(*how, *rest),
    st.sampled_from([*FORMATS, *[("MP3", "MPEG_LAYER_III")] * 8, *[("OGG", "VORBIS")] * 4]),
    st.floats(0.05, LONGEST_S),
    st.sampled_from(("none", "cut", "zeros", "twice", "bytes behind")),
    st.floats(0.3, 0.9),
    st.sampled_from((None, None, None, "", "dat")),
)


@cache
def _sound(rate_hz: int) -> Samples:
    return tone(LONGEST_S, rate_hz)


def _bytes(one: Given) -> bytes:
    rate_hz = 48_000 if one.subtype == "OPUS" else RATE_HZ
    try:
        data = encoded(_sound(rate_hz)[: round(one.duration_s * rate_hz)], rate_hz, one.kind, subtype=one.subtype)
    except soundfile.LibsndfileError:
        assume(False)
        raise
    at = round(one.at * len(data))
    if one.damage == "zeros":
        n = min(len(data) // 10, len(data) - at)
        return data[:at] + bytes(n) + data[at + n :]
    return {"cut": data[:at], "twice": data + data, "bytes behind": data + bytes(range(256)) * 40}.get(one.damage, data)


def _least_s(one: Given) -> float:
    """The seconds in the file, at least: of a file that was cut, in proportion to its bytes."""
    return one.duration_s * {"cut": one.at, "twice": 2}.get(one.damage, 1)


def _written(folder: Path, files: list[Given], layout: str) -> list[Path]:
    """The files in a layout, in order; a second class has one whole recording."""
    paths, lines = [], ["path,label"]
    for at, one in enumerate(files):
        ending = ENDINGS.get(one.kind, one.kind.lower()) if one.ending is None else one.ending
        name = f"{at}.{ending}".rstrip(".")
        uri = {"split folders": f"train/wren/{name}", "split inside": f"wren/test/{name}"}.get(layout, f"wren/{name}")
        if not (layout == "table of the first" and at):
            lines.append(f"{uri},wren")
        paths.append(folder / uri)
    other = folder / ("train/robin/a.wav" if layout == "split folders" else "robin/a.wav")
    lines.append("robin/a.wav,robin")
    for path, data in zip([*paths, other], [*map(_bytes, files), encoded(_sound(RATE_HZ)[:RATE_HZ])], strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if layout.startswith("table"):
        (folder / "labels.csv").write_text("\n".join(lines))
    return paths


def _used_and_named_s(path: Path, in_s: float) -> tuple[float, float]:
    """Seconds of a planned recording that are in examples, and those of spans and chunks that are named."""
    try:
        facts = probe(path)
        n = n_spans(facts.n_frames, facts.rate_hz, path.stat().st_size, PRESET)
    except Unusable:
        n = 1  # a worker tries it, and reports the reason
    used_s = named_s = 0.0
    for span in range(n):
        start_s = span * PRESET.decode.span_s
        try:
            strip = make_strip(path, "0" * 64, span, 0, PRESET)
        except Unusable:
            rest_s = max(in_s - start_s, 0.0)
            named_s += rest_s if span == n - 1 else min(rest_s, PRESET.decode.span_s)
            continue
        n_silent = strip.notes.get(NoteCode.SILENT_CHUNKS, 0)
        for number in range(len(strip.numbers) + n_silent):
            chunk_s = float(np.clip(in_s - start_s - number * CHUNK_S, 0, CHUNK_S))
            used_s += chunk_s if number in strip.numbers else 0.0
            named_s += 0.0 if number in strip.numbers else chunk_s
    return used_s, named_s


# An example encodes, decodes and preprocesses up to a minute of sound, so a fifth of the usual number of examples.
@settings(max_examples=settings().max_examples // 5, deadline=None)
@given(st.lists(_GIVEN, min_size=1, max_size=2), st.sampled_from(LAYOUTS))
def test_every_second_is_used_or_named(files: list[Given], layout: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = _written(folder, files, layout)
        try:
            opened = open_layout(folder)
            entries = list(opened.rows())
        except LayoutError:  # refused as a whole, with a sentence
            return
        planned = {entry.uri for entry in entries if isinstance(entry, Row)}
        refused = {entry.uri for entry in entries if isinstance(entry, UnusableRow)}
        found = opened.findings
        uris = [path.relative_to(folder).as_posix() for path in paths]
        n_neither = sum(uri not in planned | refused for uri in uris)
        assert n_neither <= found.left_out.total() + (found.n_unnamed or 0)
        for path, uri, one in zip(paths, uris, files, strict=True):
            in_s = _least_s(one)
            if uri in planned:
                used_s, named_s = _used_and_named_s(path, in_s)
                assert abs(in_s - used_s - named_s) <= CHUNK_S, (one, used_s, named_s)
