"""Fifteen numbers that describe a chunk: loudness, crossings, where its energy lies and how it is shaped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.preset import Preset
from tasks.audio.spectrogram import decibels
from tasks.audio.stft import Floats, centred_spectra, mel_power

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

_ROLLOFF = 0.85
_TOP_DB = 80.0
_SMALLEST_POWER = 1e-10


Column = npt.NDArray[np.float64]


def features(chunk: Floats, preset: Preset) -> Floats:
    """(15,) float32, in the order of FEATURES; all but the crossings come from one short-time spectrum.

    chunk: (chunk_samples,) float32, full scale ±1, mono, at the preset's rate.
    Every magnitude is raised by `features.magnitude_floor`: what the denoiser left of a gated frame is rounding,
    and without a floor the shape of that would be described.
    Source: librosa.feature with n_fft and hop of the preset; means and standard deviations over frames.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # numba takes half a second

    settings = preset.features
    re, im = centred_spectra(chunk, settings.n_fft, settings.hop_samples)
    power, facts = np.empty_like(re), np.empty((len(re), 6))
    kernels.shape(re, im, np.float32(settings.magnitude_floor), power, facts)
    by_frame = np.stack([
        _loudness(power, facts[:, 4], settings.n_fft),
        *_position(facts, preset.decode.rate_hz / settings.n_fft),
        _flatness(facts[:, 4:], power.shape[1]),
    ])  # fmt: skip
    (rms, centroid, bandwidth, rolloff, flatness), deviations = by_frame.mean(axis=1), by_frame[:3].std(axis=1)
    crossings = zero_crossing_rate(chunk, settings.zero_crossing_threshold, settings.n_fft, settings.hop_samples)
    return np.asarray([
        rms, deviations[0], crossings,
        centroid, deviations[1], bandwidth, deviations[2],
        rolloff, flatness, *_mfcc(power, preset),
    ], np.float32)  # fmt: skip


def plain_facts(magnitude: Column) -> Column:
    """What `kernels.shape` finds out about each frame, said plainly: (frame, 6) of (frame, bin) raised magnitudes."""
    bins = np.arange(magnitude.shape[1])
    sums = [(magnitude * weights).sum(axis=1) for weights in (1, bins, bins**2)]
    rolloff = (np.cumsum(magnitude, axis=1) < _ROLLOFF * sums[0][:, None]).sum(axis=1)
    power = np.maximum(magnitude**2, _SMALLEST_POWER)
    return np.stack([*sums, rolloff, power.sum(axis=1), np.log(power).sum(axis=1)], axis=1)


def _loudness(power: Floats, total: Column, n_fft: int) -> Column:
    """The root mean square amplitude of each frame, from (frame, bin) power and its sums."""
    mirrored = 2 * total - power[:, 0] - power[:, -1]  # the two bins that have no mirror image count once
    return np.asarray(np.sqrt(mirrored) / n_fft)


def zero_crossing_rate(chunk: Floats, threshold: float, n_fft: int, hop_samples: int) -> float:
    """The mean over frames of the share of samples whose sign is not the one before.

    Samples within ±threshold of zero count as positive. The frames are those of the spectrum.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # numba takes half a second

    is_negative = chunk < -np.float32(threshold)
    counts = np.empty(1 + len(chunk) // hop_samples, np.int64)
    kernels.crossings(is_negative.view(np.uint8), n_fft, hop_samples, counts)
    return float(counts.mean() / n_fft)


def _position(facts: Column, bin_hz: float) -> tuple[Column, Column, Column]:
    """Centroid, bandwidth and rolloff of each frame, in hertz."""
    total, first, second, rolloff = facts.T[:4]
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0))
    return bin_hz * centroid, bin_hz * bandwidth, bin_hz * rolloff


def _flatness(sums: Column, n_bins: int) -> Column:
    """The geometric mean of power over its arithmetic mean in each frame: 1 for white noise, 0 for tones.

    sums: (frame, 2), of power and of its natural logarithm.
    """
    return np.asarray(np.exp(sums[:, 1] / n_bins) / (sums[:, 0] / n_bins))


def _mfcc(power: Floats, preset: Preset) -> Column:
    """Mel-frequency cepstral coefficients 1 to 6, the mean over frames, (6,)."""
    db = decibels(mel_power(power, preset.decode.rate_hz, preset.mel))
    np.maximum(db, db.max() - np.float32(_TOP_DB), out=db)
    # The transform is linear: that of the mean is the mean of those.
    return np.asarray(scipy.fft.dct(np.ones(len(db)) @ db / len(db), type=2, norm="ortho")[1:7])
