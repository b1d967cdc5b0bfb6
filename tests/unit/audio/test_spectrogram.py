"""The spectrogram of a chunk matches librosa, and shows the frequencies of the chunk."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from tasks.audio.preset import Preset
from tasks.audio.spectrogram import log_mel
from tests.unit.audio.signals import RATE_HZ, SIGNALS, noise, tone

N = 160_000


def _librosa_spectrogram(chunk: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=chunk, sr=RATE_HZ, n_fft=1024, hop_length=1259, n_mels=48, fmin=500.0, fmax=12_500.0
    )
    db = librosa.power_to_db(power, ref=np.max, top_db=80.0)
    spread = db.max() - db.min()
    return np.round((db - db.min()) / spread * 255) if spread else np.zeros(db.shape)


@pytest.mark.parametrize("kind", SIGNALS)
def test_no_pixel_is_more_than_one_level_from_librosa(kind: str, preset: Preset) -> None:
    chunk = SIGNALS[kind](N)
    difference = np.abs(log_mel(chunk, preset).astype(int) - _librosa_spectrogram(chunk))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999


def test_a_spectrogram_is_mel_by_frame_in_grey_levels(preset: Preset) -> None:
    picture = log_mel(noise(N), preset)
    assert picture.shape == (48, 128)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous


@pytest.mark.parametrize("hz", [600, 3_000, 11_000])
def test_a_pure_tone_is_brightest_in_the_band_of_its_frequency(hz: int, preset: Preset) -> None:
    centres_hz = librosa.mel_frequencies(n_mels=50, fmin=500.0, fmax=12_500.0)[1:-1]
    brightest = log_mel(tone(N, hz), preset).mean(axis=1).argmax()
    assert brightest == np.abs(centres_hz - hz).argmin()


def test_silence_is_black(preset: Preset) -> None:
    assert not log_mel(np.zeros(N, np.float32), preset).any()


def test_the_level_of_a_chunk_does_not_change_its_spectrogram(preset: Preset) -> None:
    loud, soft = log_mel(noise(N), preset).astype(int), log_mel(noise(N) / 4, preset).astype(int)
    assert np.abs(loud - soft).max() <= 1
