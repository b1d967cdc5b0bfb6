"""Fifteen numbers that describe a chunk: loudness, crossings, where its energy lies and how it is shaped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.preset import Preset
from tasks.audio.spectrogram import decibels
from tasks.audio.stft import Floats, magnitudes, mel_filters

FEATURES = (
    "rms_mean",
    "rms_std",
    "zcr_mean",
    "centroid_mean_hz",
    "centroid_std_hz",
    "bandwidth_mean_hz",
    "bandwidth_std_hz",
    "rolloff_mean_hz",
    "flatness_mean",
    "mfcc_1",
    "mfcc_2",
    "mfcc_3",
    "mfcc_4",
    "mfcc_5",
    "mfcc_6",
)

_ROLLOFF = np.float32(0.85)
_TOP_DB = 80.0
_SMALLEST_POWER = np.float32(1e-10)


def features(chunk: Floats, preset: Preset) -> Floats:
    """(15,) float32, in the order of FEATURES; all but the crossings come from one short-time spectrum.

    chunk: (chunk_samples,) float32, full scale ±1, mono, at the preset's rate.
    Every magnitude is raised by `features.magnitude_floor`: what the denoiser left of a gated frame is rounding,
    and without a floor the shape of that would be described.
    Source: librosa.feature with n_fft and hop of the preset; means and standard deviations over frames.
    """
    settings = preset.features
    magnitude = magnitudes(chunk, settings.n_fft, settings.hop_samples)
    magnitude += np.float32(settings.magnitude_floor)
    power = np.square(magnitude)
    return np.asarray([
        *_loudness(power, settings.n_fft),
        zero_crossing_rate(chunk, settings.zero_crossing_threshold, settings.n_fft, settings.hop_samples),
        *_position(magnitude, preset.decode.rate_hz),
        _flatness(power),
        *_mfcc(power, preset),
    ], np.float32)  # fmt: skip


def _loudness(power: Floats, n_fft: int) -> tuple[float, float]:
    """Mean and standard deviation over frames of the root mean square amplitude, from (frame, bin) power."""
    weights = np.full(power.shape[1], 2 / n_fft**2, np.float32)
    weights[[0, -1]] /= 2  # the two bins that have no mirror image
    rms = np.sqrt((power @ weights).astype(np.float64))
    return rms.mean(), rms.std()


def zero_crossing_rate(chunk: Floats, threshold: float, n_fft: int, hop_samples: int) -> float:
    """The mean over frames of the share of samples whose sign is not the one before.

    Samples within ±threshold of zero count as positive. The frames are those of the spectrum.
    """
    is_negative = chunk < -np.float32(threshold)
    has_turned = np.zeros(len(chunk), bool)
    np.not_equal(is_negative[1:], is_negative[:-1], out=has_turned[1:])
    starts = range(-(n_fft // 2), len(chunk) - n_fft // 2 + 1, hop_samples)
    crossings = [np.count_nonzero(has_turned[max(0, start + 1) : start + n_fft]) for start in starts]
    return sum(crossings) / (len(crossings) * n_fft)


def _position(magnitude: Floats, rate_hz: int) -> Iterator[float]:
    """Centroid and bandwidth, mean and standard deviation of each, and mean rolloff, in hertz."""
    hz = np.linspace(0, rate_hz / 2, magnitude.shape[1])
    # In float32 the difference below would lose the bandwidth of a pure tone.
    total, first, second = (magnitude.astype(np.float64) @ np.stack([np.ones_like(hz), hz, hz**2], axis=1)).T
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0))
    for value in (centroid, bandwidth):
        yield value.mean()
        yield value.std()
    energy = np.cumsum(magnitude, axis=1)
    n_below = np.count_nonzero(energy < _ROLLOFF * energy[:, -1:], axis=1)
    yield hz[n_below].mean()


def _flatness(power: Floats) -> float:
    """The mean over frames of the geometric mean of power over its arithmetic mean: 1 for white noise, 0 for tones."""
    power = np.maximum(power, _SMALLEST_POWER)
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    return float(flatness.mean())


def _mfcc(power: Floats, preset: Preset) -> npt.NDArray[np.float64]:
    """Mel-frequency cepstral coefficients 1 to 6, the mean over frames, (6,)."""
    db = decibels(power @ mel_filters(preset.features.n_fft, preset.decode.rate_hz, preset.mel))
    np.maximum(db, db.max() - np.float32(_TOP_DB), out=db)
    # The transform is linear: that of the mean is the mean of those.
    return np.asarray(scipy.fft.dct(db.mean(axis=0, dtype=np.float64), type=2, norm="ortho")[1:7])
