"""A span decoded alone has the samples that one read of the whole file gives, for every format and any lengths."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from hypothesis import assume, given
from hypothesis import strategies as st

from tasks.audio.preset import load_preset
from tasks.audio.recording import decode, probe
from tests.unit.audio.files import encoded, tone

_PRESET = load_preset("birdclef2021")
PRESET = replace(
    _PRESET, decode=replace(_PRESET.decode, span_s=10), denoise=replace(_PRESET.denoise, block_samples=320_000)
)
RATE_HZ = 32_000  # of the preset: no resampling between the two readings
# What recorders and archives write. libsndfile's encoders of rarer formats, such as ALAC, corrupt memory.
_PCM = ("PCM_16", "PCM_24", "FLOAT")
_SUBTYPES = {
    "WAV": (*_PCM, "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"),
    "W64": (*_PCM, "IMA_ADPCM", "MS_ADPCM"),
    "WAVEX": _PCM, "RF64": _PCM, "AIFF": _PCM, "CAF": _PCM, "AU": _PCM,
    "FLAC": ("PCM_S8", "PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
}  # fmt: skip
FORMATS = [(kind, subtype) for kind, subtypes in _SUBTYPES.items() for subtype in subtypes]
MP3_MODES = ("CONSTANT", "VARIABLE", "AVERAGE")


@st.composite
def recordings(draw: st.DrawFn) -> dict[str, Any]:
    """How to encode a recording of two or three spans."""
    kind, subtype = draw(st.sampled_from([*FORMATS, *[("MP3", "MPEG_LAYER_III")] * 40, *[("OGG", "VORBIS")] * 10]))
    mp3 = {"bitrate_mode": draw(st.sampled_from(MP3_MODES)), "compression_level": draw(st.sampled_from([0, 0.5, 0.9]))}
    return {"kind": kind, "subtype": subtype, **(mp3 if kind == "MP3" else {})}


def _encoded(duration_s: float, channels: int, how: dict[str, Any]) -> bytes:
    samples = tone(duration_s)
    both = np.stack([samples, 0.5 * samples[::-1]], axis=1) if channels == 2 else samples
    try:
        return encoded(both, 48_000 if how["subtype"] == "OPUS" else RATE_HZ, **how)
    except soundfile.LibsndfileError:  # some formats have one channel only
        assume(False)
        raise


@given(st.floats(11, 29), st.integers(1, 2), recordings())
def test_spans_equal_one_read_of_the_whole_file(duration_s: float, channels: int, how: dict[str, Any]) -> None:
    data = _encoded(duration_s, channels, how)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.x"
        path.write_bytes(data)
        facts = probe(path)
        with soundfile.SoundFile(path) as file:
            whole = file.read(frames=facts.n_frames, dtype="float32", always_2d=True)
        assume(facts.rate_hz == RATE_HZ)
        assert len(whole) == facts.n_frames
        n_spans = math.ceil(facts.n_frames / PRESET.span_samples)
        spans = [decode(path, PRESET, span).span for span in range(n_spans)]
    mono = whole.mean(axis=1) if channels == 2 else whole[:, 0]
    np.testing.assert_allclose(np.concatenate(spans), mono, atol=1e-6)
