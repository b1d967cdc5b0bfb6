"""Unusual channels, levels and bands: the sound is used rightly with a note, or refused with a reason of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from domain.errors import OffScale
from domain.notes import NoteCode
from tasks.audio.preset import Preset
from tasks.audio.recording import decode
from tasks.audio.strip import decode_strip, encode, make_strip
from tests.unit.audio.signals import noise, song, tone, write

RATE_HZ = 32_000


def _channels(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_of_channels_that_cancel_the_louder_one_is_used(name: str, tmp_path: Path, preset: Preset) -> None:
    samples = song(10 * RATE_HZ)
    path = write(tmp_path / name, _channels(0.9 * samples, -samples), RATE_HZ)
    passage = decode(path, preset, 0)
    assert passage.notes == (NoteCode.LOUDER_CHANNEL,)
    np.testing.assert_allclose(passage.span, soundfile.read(path, dtype="float32")[0][:, 1], atol=1e-6)


def test_a_channel_of_zeros_is_left_out(tmp_path: Path, preset: Preset) -> None:
    samples = song(10 * RATE_HZ)
    path = write(tmp_path / "a.wav", _channels(samples, np.zeros_like(samples), samples), RATE_HZ)
    passage = decode(path, preset, 0)
    assert passage.notes == (NoteCode.DEAD_CHANNEL,)
    np.testing.assert_allclose(passage.span, samples, atol=1e-4)


@pytest.mark.parametrize(
    "channels",
    [
        _channels(song(5 * RATE_HZ), 0.3 * song(5 * RATE_HZ)),
        _channels(noise(5 * RATE_HZ), np.roll(noise(5 * RATE_HZ), 999)),
        _channels(*(np.roll(noise(2 * RATE_HZ), 999 * n) for n in range(16))),
        _channels(np.zeros(5 * RATE_HZ), np.zeros(5 * RATE_HZ)),
    ],
    ids=["one is quieter", "unrelated", "16 unrelated", "all silent"],
)
def test_other_channels_are_averaged_without_a_note(channels: np.ndarray, tmp_path: Path, preset: Preset) -> None:
    passage = decode(write(tmp_path / "a.wav", channels, RATE_HZ), preset, 0)
    assert passage.notes == ()
    np.testing.assert_allclose(passage.span, channels.mean(axis=1), atol=1e-4)


@pytest.mark.parametrize(("scale", "is_used"), [(1, True), (15, True), (17, False), (32_767, False), (2**31, False)])
def test_samples_far_beyond_full_scale_have_a_reason_of_their_own(
    scale: float, is_used: bool, tmp_path: Path, preset: Preset
) -> None:
    samples = tone(2 * RATE_HZ, level=1.0) * np.float32(scale)
    path = write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    if is_used:
        assert np.abs(decode(path, preset, 0).span).max() == pytest.approx(scale, rel=1e-3)
    else:
        with pytest.raises(OffScale, match=r"a\.wav has a peak of [\d,.e+]+, but full scale is 1"):
            decode(path, preset, 0)


@pytest.mark.parametrize(
    ("rate_hz", "hz", "is_noted"),
    [
        (384_000, 45_000, True), (384_000, 6_000, False), (96_000, 20_000, True), (44_100, 14_000, True),
        (44_100, 3_000, False),
    ],
)  # fmt: skip
def test_sound_above_the_highest_band_is_noted(
    rate_hz: int, hz: int, is_noted: bool, tmp_path: Path, preset: Preset
) -> None:
    at_s = np.arange(6 * rate_hz) / rate_hz
    calls = np.sin(2 * np.pi * hz * at_s) * (at_s % 0.1 < 0.01)
    path = write(tmp_path / "a.wav", (0.5 * calls).astype(np.float32), rate_hz)
    assert (NoteCode.ABOVE_BAND in decode(path, preset, 0).notes) == is_noted


def test_a_strip_keeps_the_numbers_of_its_chunks_and_counts_the_silent_ones(tmp_path: Path, preset: Preset) -> None:
    samples = song(25 * RATE_HZ)
    silenced = samples.copy()
    silenced[5 * RATE_HZ : 15 * RATE_HZ] = 0
    strip = decode_strip(encode(make_strip(write(tmp_path / "a.wav", silenced, RATE_HZ), "d" * 64, 0, 0, preset)))
    assert strip.numbers == (0, 3, 4)
    assert strip.notes == {NoteCode.SILENT_CHUNKS: 2}
    whole = make_strip(write(tmp_path / "b.wav", samples, RATE_HZ), "d" * 64, 0, 0, preset)
    assert (whole.numbers, whole.notes) == ((0, 1, 2, 3, 4), {})
    last = strip.spectrograms[2].astype(int) - whole.spectrograms[4]
    assert np.abs(last).mean() < 5, "the chunk far behind the silence looks as it does without the silence"
