"""Short-time spectra and mel filters, shared by the spectrogram, the features and the denoiser."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.parameters import MelSettings

Floats = npt.NDArray[np.float32]

N_FFT = 1024  # `fast/fft.py` is written for this length; scipy computes the others
BATCH_FRAMES = 128  # of 513 bins: fits into an L2 cache


@lru_cache(maxsize=8)
def hann(n_fft: int) -> Floats:
    """Return a periodic Hann window, (n_fft,) float32, read-only.

    At a hop of n_fft / 4 its squares sum to 1.5 at every sample.

    >>> hann(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


def fill_spectra(samples: Floats, hop_samples: int, re: Floats, im: Floats) -> None:
    """Fill re and im, (frame, bin) float32, with the spectra of Hann-windowed frames, hop_samples apart.

    samples: (n,) float32, n >= (frames - 1) * hop_samples + n_fft, with n_fft = 2 * (bins - 1). The caller pads the
    edges.
    """
    n_fft = 2 * (re.shape[1] - 1)
    if n_fft == N_FFT:
        from tasks.audio.fast import fft  # noqa: PLC0415  # importing numba takes half a second

        fft.spectra(samples, hann(n_fft), hop_samples, re, im)
        return
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_samples]
    for low in range(0, len(re), BATCH_FRAMES):
        batch = slice(low, min(low + BATCH_FRAMES, len(re)))
        spectrum = scipy.fft.rfft(frames[batch] * hann(n_fft), axis=-1)
        re[batch], im[batch] = spectrum.real, spectrum.imag


def add_frames(re: Floats, im: Floats, mask: Floats, out: Floats) -> None:
    """Overlap-add into `out` the Hann-windowed frames whose spectra are (re + 1j * im) * mask, at a hop of n_fft / 4.

    re, im, mask: (frame, bin) float32.  out: (n,) float32, n >= (frames - 1) * n_fft / 4 + n_fft.
    """
    n_fft = 2 * (re.shape[1] - 1)
    if n_fft == N_FFT:
        from tasks.audio.fast import fft  # noqa: PLC0415  # importing numba takes half a second

        fft.overlap_add(re, im, mask, hann(n_fft), out)
        return
    frames = scipy.fft.irfft((re + np.complex64(1j) * im) * mask, n=n_fft, axis=-1) * hann(n_fft)
    for row, frame in enumerate(frames):
        out[row * n_fft // 4 : row * n_fft // 4 + n_fft] += frame


def centred_spectra(chunk: Floats, n_fft: int, hop_samples: int) -> tuple[Floats, Floats]:
    """Return the real and imaginary parts of the short-time spectra of a chunk.

    chunk: (n,) float32; zeros pad it on both sides.
    Returns two arrays, (1 + n // hop_samples, 1 + n_fft // 2) float32. Frame f is centred on sample f * hop_samples.
    Source: librosa.stft with its defaults, transposed.
    """
    padded = np.zeros(len(chunk) + n_fft, np.float32)
    padded[n_fft // 2 : n_fft // 2 + len(chunk)] = chunk
    re, im = np.empty((2, 1 + len(chunk) // hop_samples, 1 + n_fft // 2), np.float32)
    fill_spectra(padded, hop_samples, re, im)
    return re, im


def mel_power(power: Floats, rate_hz: int, mel: MelSettings) -> Floats:
    """Return the power in each mel band, (frame, mel), from the power in each bin, (frame, bin) float32.

    Source: librosa.filters.mel, Slaney's scale and normalisation.
    """
    filters = _mel_filters(2 * (power.shape[1] - 1), rate_hz, mel)
    return np.concatenate([power[:, bins] @ weights for bins, weights in filters], axis=1)


@lru_cache(maxsize=8)
def _mel_filters(n_fft: int, rate_hz: int, mel: MelSettings) -> list[tuple[slice, Floats]]:
    """Return the mel filters in groups of sixteen bands: the bins a group covers, and its weights, (bin, mel) float32.

    Most weights of the full matrix are zero; the groups skip most of these.
    """
    from librosa.filters import mel as slaney  # noqa: PLC0415  # imports for more than a second; only workers need it

    bank = slaney(sr=rate_hz, n_fft=n_fft, n_mels=mel.n_mels, fmin=mel.fmin_hz, fmax=mel.fmax_hz)
    return [_without_zeros(bank[low : low + 16]) for low in range(0, mel.n_mels, 16)]


def _without_zeros(bands: Floats) -> tuple[slice, Floats]:
    used = np.flatnonzero(bands.any(axis=0))
    bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
    return bins, np.ascontiguousarray(bands[:, bins].T, np.float32)
