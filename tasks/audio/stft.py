"""Short-time magnitudes and mel filters, shared by the picture, the features and the denoiser."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.parameters import MelSettings

Floats = npt.NDArray[np.float32]


@lru_cache(maxsize=8)
def hann(n_fft: int) -> Floats:
    """Periodic Hann window, (n_fft,) float32, read-only; its squares, a quarter apart, add up to 1.5."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


def frames(samples: Floats, n_fft: int, hop_samples: int) -> Floats:
    """A view of overlapping frames, (frame, n_fft), of samples that already hold what is to stand at their edges."""
    return np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_samples]


def magnitudes(chunk: Floats, n_fft: int, hop_samples: int) -> Floats:
    """Magnitudes of the short-time spectrum, (frame, bin) float32, frames centred on multiples of the hop.

    chunk: (n,) float32; zeros are taken to stand before and after it.
    Source: librosa.stft with its defaults, transposed.
    """
    padded = np.zeros(len(chunk) + n_fft, np.float32)
    padded[n_fft // 2 : n_fft // 2 + len(chunk)] = chunk
    spectrum = scipy.fft.rfft(frames(padded, n_fft, hop_samples) * hann(n_fft), axis=-1)
    return np.asarray(np.abs(spectrum), np.float32)


@lru_cache(maxsize=8)
def mel_filters(n_fft: int, rate_hz: int, mel: MelSettings) -> Floats:
    """Triangles over the bins, (bin, mel) float32, read-only, each of area 1 over hertz (Slaney)."""
    from librosa.filters import mel as slaney  # noqa: PLC0415  # more than a second, and only workers need it

    bank = slaney(sr=rate_hz, n_fft=n_fft, n_mels=mel.n_mels, fmin=mel.fmin_hz, fmax=mel.fmax_hz)
    filters = np.ascontiguousarray(bank.T, np.float32)
    filters.flags.writeable = False
    return filters
