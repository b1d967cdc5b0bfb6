"""Small recordings for tests, written where the test says; each is exactly what its arguments say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray


def tone(hz: float, seconds: float, rate_hz: int = 32_000, amplitude: float = 0.5) -> NDArray[np.float32]:
    """A sine wave, (round(seconds · rate_hz),) float32, beginning at zero."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def write_samples(path: Path, samples: NDArray[np.float32], rate_hz: int = 32_000) -> Path:
    """A file of (n,) or (n, channels) samples in the format its ending names; 16 bits where the format has bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz)
    return path


def write_tone(path: Path, hz: float, seconds: float, rate_hz: int = 32_000, amplitude: float = 0.5) -> Path:
    """A file that holds one steady tone."""
    return write_samples(path, tone(hz, seconds, rate_hz, amplitude), rate_hz)


def write_silence(path: Path, seconds: float, rate_hz: int = 32_000) -> Path:
    """A file in which every sample is zero; seconds may be 0."""
    return write_samples(path, np.zeros(round(seconds * rate_hz), np.float32), rate_hz)


def write_class_folders(
    root: Path, hz_by_label: dict[str, float], per_label: int = 4, seconds: float = 5.0, rate_hz: int = 32_000
) -> Path:
    """A dataset of one folder a class: every class a tone of its own, no two files alike."""
    for label, hz in hz_by_label.items():
        for number in range(per_label):
            write_tone(root / label / f"{label}-{number}.wav", hz * (1 + number / 100), seconds, rate_hz)
    return root
