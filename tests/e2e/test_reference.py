"""Strips of real recordings match the reference pipeline."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tasks.audio.denoise import denoise
from tasks.audio.preset import Preset
from tasks.audio.recording import decode
from tasks.audio.strip import make_strip
from tests.shared_data import shared_data, shared_folder
from tests.unit.audio.signals import SIGNALS, librosa_loaded, noisereduced, write


def _sample(name: str, pattern: str, every: int) -> list[Path]:
    if shared_folder() is None:
        return []
    return sorted(shared_data(name).glob(pattern))[::every]


REAL = [*_sample("birds10", "by_class/*/*.mp3", 1), *_sample("esc10", "*/*.ogg", 8)]


def _check(path: Path, preset: Preset, reference: ModuleType) -> None:
    strip = make_strip(path, "d" * 64, 0, 0, preset)
    pieces = reference.chunks(noisereduced(librosa_loaded(path)))
    difference = np.abs(strip.spectrograms.astype(int) - np.stack([reference.spectrogram(piece) for piece in pieces]))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999
    rows = np.stack([reference.features(piece) for piece in pieces])
    is_mfcc = np.arange(rows.shape[1]) > 8
    np.testing.assert_allclose(strip.features[:, ~is_mfcc], rows[:, ~is_mfcc], rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(strip.features[:, is_mfcc], rows[:, is_mfcc], rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not REAL, reason="no shared recordings here; set CHORUS_SHARED to run this")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_spectrograms_and_features_of_a_real_recording_match_the_reference(
    path: Path, preset: Preset, reference: ModuleType
) -> None:
    _check(path, preset, reference)


@pytest.mark.skipif(not REAL, reason="no shared recordings here; set CHORUS_SHARED to run this")
@pytest.mark.parametrize("path", REAL[::10], ids=lambda path: path.name)
def test_a_denoised_real_recording_matches_noisereduce(path: Path, preset: Preset) -> None:
    np.testing.assert_allclose(denoise(decode(path, preset, 0), preset), noisereduced(librosa_loaded(path)), atol=1e-5)


@pytest.mark.parametrize("kind", ["noise", "clipped", "song", "silence_then_song"])
@pytest.mark.parametrize("duration_s", [0.1, 7.4, 7.6])
def test_spectrograms_and_features_of_a_synthetic_recording_match_the_reference(
    kind: str, duration_s: float, tmp_path: Path, preset: Preset, reference: ModuleType
) -> None:
    samples = SIGNALS[kind](round(duration_s * 32_000))
    _check(write(tmp_path / "a.wav", np.stack([samples, samples / 2], axis=1)), preset, reference)
