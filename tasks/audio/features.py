"""Fifteen acoustic features of a chunk: level, zero crossings, spectral shape and cepstral coefficients."""

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
    """Return the features of a chunk, (15,) float32, in the order of FEATURES.

    chunk: (chunk_samples,) float32, full scale ±1, mono, at the preset's rate.
    All features but the zero-crossing rate are computed from one short-time spectrum; means and standard deviations
    are over frames. `features.magnitude_floor` is added to every magnitude, because the denoiser leaves only rounding
    errors in some frames, and features must not describe these.
    Source: librosa.feature with the preset's n_fft and hop; tested within a relative tolerance of 1e-3.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # importing numba takes half a second

    settings = preset.features
    re, im = centred_spectra(chunk, settings.n_fft, settings.hop_samples)
    power, statistics = np.empty_like(re), np.empty((len(re), 6))
    kernels.frame_statistics(re, im, np.float32(settings.magnitude_floor), power, statistics)
    by_frame = np.stack([
        _rms(power, statistics[:, 4], settings.n_fft),
        *_centroid_bandwidth_rolloff(statistics, preset.decode.rate_hz / settings.n_fft),
        _flatness(statistics[:, 4:], power.shape[1]),
    ])  # fmt: skip
    (rms, centroid, bandwidth, rolloff, flatness), deviations = by_frame.mean(axis=1), by_frame[:3].std(axis=1)
    crossings = zero_crossing_rate(chunk, settings.zero_crossing_threshold, settings.n_fft, settings.hop_samples)
    return np.asarray([
        rms, deviations[0], crossings,
        centroid, deviations[1], bandwidth, deviations[2],
        rolloff, flatness, *_mfcc(power, preset),
    ], np.float32)  # fmt: skip


def reference_statistics(magnitude: Column) -> Column:
    """Return the statistics of `kernels.frame_statistics`, computed with numpy: the reference in tests.

    magnitude: (frame, bin) float64, the floor added.  Returns (frame, 6) float64.
    """
    bins = np.arange(magnitude.shape[1])
    sums = [(magnitude * weights).sum(axis=1) for weights in (1, bins, bins**2)]
    rolloff = (np.cumsum(magnitude, axis=1) < _ROLLOFF * sums[0][:, None]).sum(axis=1)
    power = np.maximum(magnitude**2, _SMALLEST_POWER)
    return np.stack([*sums, rolloff, power.sum(axis=1), np.log(power).sum(axis=1)], axis=1)


def _rms(power: Floats, total: Column, n_fft: int) -> Column:
    """Return the root mean square amplitude of each frame. power: (frame, bin).  total: (frame,), its sums."""
    both_sides = 2 * total - power[:, 0] - power[:, -1]  # the first and the last bin have no negative frequency
    return np.asarray(np.sqrt(both_sides) / n_fft)


def zero_crossing_rate(chunk: Floats, threshold: float, n_fft: int, hop_samples: int) -> float:
    """Return the zero-crossing rate, 0..1: the share of samples whose sign differs from the one before.

    chunk: (n,) float32.  threshold: samples >= -threshold count as positive, so that rounding errors do not cross zero.
    n_fft, hop_samples: length and hop of the frames, which are those of the spectrum; the rate is averaged over them.
    Source: librosa.feature.zero_crossing_rate.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # importing numba takes half a second

    is_negative = chunk < -np.float32(threshold)
    counts = np.empty(1 + len(chunk) // hop_samples, np.int64)
    kernels.count_crossings(is_negative.view(np.uint8), n_fft, hop_samples, counts)
    return float(counts.mean() / n_fft)


def _centroid_bandwidth_rolloff(statistics: Column, bin_hz: float) -> tuple[Column, Column, Column]:
    """Return centroid, bandwidth and rolloff of each frame, in Hz."""
    total, first, second, rolloff = statistics.T[:4]
    centroid = first / total
    bandwidth = np.sqrt(np.maximum(second / total - centroid**2, 0))
    return bin_hz * centroid, bin_hz * bandwidth, bin_hz * rolloff


def _flatness(sums: Column, n_bins: int) -> Column:
    """Return the geometric mean of power divided by its arithmetic mean: near 1 for white noise, near 0 for tones.

    sums: (frame, 2), sum(power) and sum(ln(power)).
    """
    return np.asarray(np.exp(sums[:, 1] / n_bins) / (sums[:, 0] / n_bins))


def _mfcc(power: Floats, preset: Preset) -> Column:
    """Return mel-frequency cepstral coefficients 1 to 6, averaged over frames, (6,)."""
    db = decibels(mel_power(power, preset.decode.rate_hz, preset.mel))
    np.maximum(db, db.max() - np.float32(_TOP_DB), out=db)
    # The cosine transform is linear, so averaging the frames first gives the same result and takes one transform.
    return np.asarray(scipy.fft.dct(np.ones(len(db)) @ db / len(db), type=2, norm="ortho")[1:7])
