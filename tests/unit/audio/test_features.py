"""The fifteen features match librosa, and have the properties that their names state."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from tasks.audio.features import FEATURES, features, zero_crossing_rate
from tasks.audio.preset import Preset
from tests.unit.audio.signals import RATE_HZ, SIGNALS, noise, tone

N = 160_000


def _librosa_features(chunk: np.ndarray) -> dict[str, float]:
    magnitude = np.abs(librosa.stft(chunk, n_fft=1024, hop_length=512)) + 1e-4
    rms = librosa.feature.rms(S=magnitude, frame_length=1024)
    zcr = librosa.feature.zero_crossing_rate(chunk, frame_length=1024, hop_length=512, threshold=1e-6)
    centroid = librosa.feature.spectral_centroid(S=magnitude, sr=RATE_HZ)
    bandwidth = librosa.feature.spectral_bandwidth(S=magnitude, sr=RATE_HZ)
    mel = librosa.feature.melspectrogram(S=magnitude**2, sr=RATE_HZ, n_mels=48, fmin=500.0, fmax=12_500.0)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=7)[1:].mean(axis=1)
    return {
        "rms_mean": rms.mean(),
        "rms_std": rms.std(),
        "zcr_mean": zcr.mean(),
        "centroid_mean_hz": centroid.mean(),
        "centroid_std_hz": centroid.std(),
        "bandwidth_mean_hz": bandwidth.mean(),
        "bandwidth_std_hz": bandwidth.std(),
        "rolloff_mean_hz": librosa.feature.spectral_rolloff(S=magnitude, sr=RATE_HZ).mean(),
        "flatness_mean": librosa.feature.spectral_flatness(S=magnitude).mean(),
        **{f"mfcc_{index}": value for index, value in enumerate(mfcc, start=1)},
    }


def _features_by_name(chunk: np.ndarray, preset: Preset) -> dict[str, float]:
    return dict(zip(FEATURES, features(chunk, preset).tolist(), strict=True))


@pytest.mark.parametrize("kind", SIGNALS)
def test_each_feature_matches_librosa(kind: str, preset: Preset) -> None:
    chunk = SIGNALS[kind](N)
    found, expected = _features_by_name(chunk, preset), _librosa_features(chunk)
    for name in FEATURES:
        # A mean coefficient may be close to zero; the bandwidth of a pure tone depends on librosa's float64 window.
        smallest = 1e-3 if name.startswith("mfcc") else 1.0 if name.endswith("_hz") else 1e-6
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-3, atol=smallest, err_msg=name)


def test_features_are_fifteen_float32_values(preset: Preset) -> None:
    row = features(noise(N), preset)
    assert row.shape == (15,) == (len(FEATURES),)
    assert row.dtype == np.float32


def test_the_root_mean_square_of_a_tone_is_reduced_by_the_window(preset: Preset) -> None:
    expected = 0.5 / np.sqrt(2) * np.sqrt(3 / 8)  # a Hann window keeps three eighths of the power
    assert _features_by_name(tone(N), preset)["rms_mean"] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("hz", [500, 4_000])
def test_a_tone_crosses_zero_twice_per_period_and_its_centroid_is_its_frequency(hz: int, preset: Preset) -> None:
    found = _features_by_name(tone(N, hz), preset)
    assert found["zcr_mean"] == pytest.approx(2 * hz / RATE_HZ, rel=0.05)  # frames at the edges are half zeros
    assert found["centroid_mean_hz"] == pytest.approx(hz, rel=0.03)
    assert found["rolloff_mean_hz"] == pytest.approx(hz, abs=2 * RATE_HZ / 1024)


def test_flatness_is_high_for_noise_and_low_for_a_tone(preset: Preset) -> None:
    assert _features_by_name(noise(N), preset)["flatness_mean"] > 0.4
    assert _features_by_name(tone(N), preset)["flatness_mean"] < 0.01


def test_rounding_errors_around_zero_are_not_zero_crossings() -> None:
    chunk = np.tile(np.array([1e-9, -1e-9], np.float32), 5_000)
    assert zero_crossing_rate(chunk, 1e-6, 1024, 512) == 0
    assert zero_crossing_rate(chunk, 0.0, 1024, 512) > 0.9


def test_silence_has_finite_features(preset: Preset) -> None:
    assert np.isfinite(features(np.zeros(N, np.float32), preset)).all()
