"""The picture of a chunk: mel power in decibels below the chunk's own maximum, as 256 grey levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.audio.preset import Preset
from tasks.audio.stft import Floats, centred_spectra, mel_power

Grey = npt.NDArray[np.uint8]

_SMALLEST_POWER = np.float32(1e-10)


def log_mel(chunk: Floats, preset: Preset) -> Grey:
    """(mel, frame) uint8: row 0 the lowest band, 0 the quietest cell and 255 the loudest; all 0 where none differs.

    chunk: (chunk_samples,) float32, full scale ±1, mono, at the preset's rate.
    Cells more than `mel.top_db` below the loudest count as that far below it.
    Source: librosa.feature.melspectrogram and librosa.power_to_db(ref=np.max), stretched to 0..255.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # numba takes half a second

    mel = preset.mel
    re, im = centred_spectra(chunk, mel.n_fft, mel.hop_samples)
    kernels.powers(re, im, power := np.empty_like(re))
    db = decibels(mel_power(power, preset.decode.rate_hz, mel))
    db -= db.max()
    np.maximum(db, -mel.top_db, out=db)
    lowest = db.min()
    if lowest == 0:
        return np.zeros(db.T.shape, np.uint8)
    return np.ascontiguousarray(np.round((db - lowest) / -lowest * 255).astype(np.uint8).T)


def decibels(power: Floats) -> Floats:
    """Ten times the decimal logarithm of power, of at least 1e-10."""
    return np.asarray(10 * np.log10(np.maximum(power, _SMALLEST_POWER)), np.float32)
