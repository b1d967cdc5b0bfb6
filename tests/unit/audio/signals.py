"""Signals with known properties, and calls of other libraries to compare with; uses no code of this project."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import noisereduce
import numpy as np
import soundfile

RATE_HZ = 32_000


def _seconds(n: int) -> np.ndarray:
    return np.arange(n) / RATE_HZ


def noise(n: int, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(7).standard_normal(n)).astype(np.float32)


def tone(n: int, hz: float = 3_000.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * _seconds(n))).astype(np.float32)


def constant(n: int) -> np.ndarray:
    return np.full(n, 0.3, np.float32)


def clicks(n: int) -> np.ndarray:
    samples = np.zeros(n, np.float32)
    samples[100::16_000] = 1.0
    return samples


def clipped(n: int) -> np.ndarray:
    return np.clip(3 * tone(n, 900.0) + noise(n), -1, 1).astype(np.float32)


def song(n: int) -> np.ndarray:
    """Frequency sweeps over quiet noise: a typical input of the denoiser."""
    seconds = _seconds(n)
    phrase = np.sin(2 * np.pi * (1_500 + 900 * np.sin(seconds * 3)) * seconds) * (np.sin(seconds * 7) > 0.2)
    return (0.4 * phrase).astype(np.float32) + noise(n, 0.01)


def silence_then_song(n: int) -> np.ndarray:
    samples = song(n)
    samples[: n // 2] = 0
    return samples


SIGNALS: dict[str, Callable[[int], np.ndarray]] = {
    each.__name__: each for each in (noise, tone, constant, clicks, clipped, song, silence_then_song)
}


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, **how: str) -> Path:
    """Write one second at a time: libsndfile's Vorbis encoder overflows its stack on longer blocks."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(path, "w", rate_hz, channels, **how) as sound:
        for start in range(0, len(samples), rate_hz):
            sound.write(samples[start : start + rate_hz])
    return path


def noisereduced(samples: np.ndarray) -> np.ndarray:
    """Return the samples denoised by noisereduce with its defaults."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # silence divides by zero in the library
        return np.nan_to_num(noisereduce.reduce_noise(y=samples, sr=RATE_HZ))


def librosa_loaded(path: Path) -> np.ndarray:
    """Return the samples of a recording as librosa decodes, averages and resamples them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # audioread imports modules that Python 3.13 lacks
        samples, _ = librosa.load(path, sr=RATE_HZ, mono=True, res_type="soxr_hq")
    return samples
