"""The log-mel spectrogram of a chunk: decibels below the chunk's own maximum, as 256 grey levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.audio.preset import Preset
from tasks.audio.stft import Floats, centred_spectra, mel_power

Grey = npt.NDArray[np.uint8]

_SMALLEST_POWER = np.float32(1e-10)


def log_mel(chunk: Floats, preset: Preset) -> Grey:
    """Return the spectrogram of a chunk as grey levels.

    chunk: (chunk_samples,) float32, full scale ±1, mono, at the preset's rate.
    Returns (mel, frame) uint8, C-contiguous. Row 0 is the lowest band; 0 is the quietest cell, 255 the loudest. If all
    cells are equal, as in silence, all are 0.
    Cells more than `mel.top_db` below the loudest cell are clipped to that level.
    Source: librosa.feature.melspectrogram and librosa.power_to_db(ref=np.max), scaled to 0..255.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # importing numba takes half a second

    mel = preset.mel
    re, im = centred_spectra(chunk, mel.n_fft, mel.hop_samples)
    kernels.fill_power(re, im, power := np.empty_like(re))
    db = decibels(mel_power(power, preset.decode.rate_hz, mel))
    db -= db.max()
    np.maximum(db, -mel.top_db, out=db)
    lowest = db.min()
    if lowest == 0:
        return np.zeros(db.T.shape, np.uint8)
    return np.ascontiguousarray(np.round((db - lowest) / -lowest * 255).astype(np.uint8).T)


def decibels(power: Floats) -> Floats:
    """Return 10 * log10(max(power, 1e-10)), float32, of the same shape.

    >>> decibels(np.array([1.0, 0.1, 0.0], np.float32)).round(3).tolist()
    [0.0, -10.0, -100.0]
    """
    return np.asarray(10 * np.log10(np.maximum(power, _SMALLEST_POWER)), np.float32)
