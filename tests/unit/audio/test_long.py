"""Each span of a recording of one day is processed alone, in bounded memory, without decoding the spans before it."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from domain.errors import Inconsistent
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.audio.recording import decode, probe
from tests.unit.audio.signals import noise, song

RATE_HZ, DAY_S, SPAN_S = 48_000, 24 * 3600, 75
MOST_KILOBYTES = 350 << 10

PEAK = r"""
import re, sys
from pathlib import Path
from tasks.audio.preset import load_preset
from tasks.audio.strip import make_strip
print(len(make_strip(sys.argv[1], "d" * 64, int(sys.argv[2]), 0, load_preset("birdclef2021")).features))
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])  # getrusage reports the parent's peak
"""


def _wav(path: Path, kind: bytes, data_bytes: int, sounds: dict[int, np.ndarray]) -> Path:
    """Write a sparse mono 16-bit WAV with these sounds at these seconds; the rest takes no disk space."""
    length = 0xFFFF_FFFF if kind == b"RF64" else data_bytes & 0xFFFF_FFFF
    long = struct.pack("<4sIQQQI", b"ds64", 28, data_bytes + 72, data_bytes, data_bytes // 2, 0)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    head = kind + struct.pack("<I", length) + b"WAVE" + (long if kind == b"RF64" else b"") + form
    head += b"data" + struct.pack("<I", length)
    with path.open("wb") as file:
        file.write(head)
        for at_s, samples in sounds.items():
            file.seek(len(head) + 2 * RATE_HZ * at_s)
            file.write((samples * 32_767).astype("<i2").tobytes())
        file.truncate(len(head) + data_bytes)
    return path


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Path]:
    """A day at 48 kHz in RF64, silent except for 81 seconds."""
    sounds = {700 * SPAN_S - 3: noise((SPAN_S + 6) * RATE_HZ)}
    path = _wav(tmp_path / "day.wav", b"RF64", 2 * DAY_S * RATE_HZ, sounds)
    yield path
    path.unlink()


def test_a_day_has_the_expected_number_of_spans(day: Path, preset: Preset) -> None:
    facts = probe(day)
    assert facts.n_frames == DAY_S * RATE_HZ
    assert n_spans(facts.n_frames, facts.rate_hz, day.stat().st_size, preset) == DAY_S // SPAN_S


def test_a_span_of_a_day_needs_bounded_memory(day: Path) -> None:
    command = [sys.executable, "-c", PEAK, str(day), "700"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    n_chunks, peak_kilobytes = map(int, result.stdout.split())
    assert n_chunks == 15
    assert peak_kilobytes < MOST_KILOBYTES


def test_decoding_a_late_span_skips_the_spans_before_it(day: Path, preset: Preset) -> None:
    begin = time.process_time()
    passage = decode(day, preset, 700)
    assert time.process_time() - begin < 5  # decoding the whole day takes a minute
    sound = soxr.resample(noise((SPAN_S + 6) * RATE_HZ), RATE_HZ, preset.decode.rate_hz, "HQ")
    expected = sound[3 * preset.decode.rate_hz :][: preset.span_samples]
    np.testing.assert_allclose(passage.span, expected, atol=1e-4)  # resolution of 16 bits


def test_a_late_span_of_flac_has_the_samples_written_there(tmp_path: Path, preset: Preset) -> None:
    path, samples = tmp_path / "a.flac", song(30 * 32_000)
    with soundfile.SoundFile(path, "w", 32_000, 1) as sound:
        for _ in range(20):
            sound.write(np.zeros(30 * 32_000, np.float32))
        sound.write(samples)
    passage = decode(path, preset, 8)
    assert (passage.start, passage.stop) == (30_000, 30_000 + 30 * 32_000)
    np.testing.assert_allclose(passage.span, samples, atol=1e-4)
    assert not passage.samples[:30_000].any()


@pytest.mark.parametrize("extra_bytes", [0, 5_000_000_000])
def test_a_plain_wav_beyond_4_gib_is_refused_with_its_name_and_a_remedy(extra_bytes: int, tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", b"RIFF", (1 << 32) + 1_000 + extra_bytes, {})
    with pytest.raises(Inconsistent, match=r"a\.wav.*RF64"):
        probe(path)
    path.unlink()


def test_a_truncated_rf64_is_refused(tmp_path: Path) -> None:
    path = _wav(tmp_path / "a.wav", b"RF64", 2 * DAY_S * RATE_HZ, {})
    os.truncate(path, 1_000_000)
    with pytest.raises(Inconsistent, match=r"a\.wav"):
        probe(path)
