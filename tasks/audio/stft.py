"""Short-time spectra and mel filters, shared by the picture, the features and the denoiser."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.parameters import MelSettings

Floats = npt.NDArray[np.float32]

N_FFT = 1024  # the length that `fft` is written for; other lengths are scipy's
BATCH_FRAMES = 128  # of 513 bins: what a second-level cache holds


@lru_cache(maxsize=8)
def hann(n_fft: int) -> Floats:
    """Periodic Hann window, (n_fft,) float32, read-only; its squares, a quarter apart, add up to 1.5."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    window.flags.writeable = False
    return window


def fill_spectra(samples: Floats, hop_samples: int, re: Floats, im: Floats) -> None:
    """Fills re and im, (frame, bin), with the spectra of windowed frames of `samples`, which lie hop_samples apart.

    samples: (n,) float32, long enough for all frames, with what is to stand at the edges.
    """
    n_fft = 2 * (re.shape[1] - 1)
    if n_fft == N_FFT:
        from tasks.audio.fast import fft  # noqa: PLC0415  # numba takes half a second

        fft.spectra(samples, hann(n_fft), hop_samples, re, im)
        return
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_samples]
    for low in range(0, len(re), BATCH_FRAMES):
        batch = slice(low, min(low + BATCH_FRAMES, len(re)))
        spectrum = scipy.fft.rfft(frames[batch] * hann(n_fft), axis=-1)
        re[batch], im[batch] = spectrum.real, spectrum.imag


def add_frames(re: Floats, im: Floats, mask: Floats, out: Floats) -> None:
    """Adds to `out` windowed frames, a quarter apart, whose spectra are (re + 1j * im) * mask, (frame, bin) each."""
    n_fft = 2 * (re.shape[1] - 1)
    if n_fft == N_FFT:
        from tasks.audio.fast import fft  # noqa: PLC0415  # numba takes half a second

        fft.overlap_added(re, im, mask, hann(n_fft), out)
        return
    frames = scipy.fft.irfft((re + np.complex64(1j) * im) * mask, n=n_fft, axis=-1) * hann(n_fft)
    for row, frame in enumerate(frames):
        out[row * n_fft // 4 : row * n_fft // 4 + n_fft] += frame


def centred_spectra(chunk: Floats, n_fft: int, hop_samples: int) -> tuple[Floats, Floats]:
    """Real and imaginary parts of short-time spectra, (frame, bin) float32, frames centred on multiples of the hop.

    chunk: (n,) float32; zeros are taken to stand before and after it.
    Source: librosa.stft with its defaults, transposed.
    """
    padded = np.zeros(len(chunk) + n_fft, np.float32)
    padded[n_fft // 2 : n_fft // 2 + len(chunk)] = chunk
    re, im = np.empty((2, 1 + len(chunk) // hop_samples, 1 + n_fft // 2), np.float32)
    fill_spectra(padded, hop_samples, re, im)
    return re, im


def mel_power(power: Floats, rate_hz: int, mel: MelSettings) -> Floats:
    """Power in each mel band, (frame, mel) of (frame, bin)."""
    filters = _mel_filters(2 * (power.shape[1] - 1), rate_hz, mel)
    return np.concatenate([power[:, bins] @ weights for bins, weights in filters], axis=1)


@lru_cache(maxsize=8)
def _mel_filters(n_fft: int, rate_hz: int, mel: MelSettings) -> list[tuple[slice, Floats]]:
    """Neighbouring bands and the bins within them: triangles, (bin, mel) float32, each of area 1 over hertz (Slaney).

    Sixteen bands at a time: between the triangles of all of them nearly everything is zero.
    """
    from librosa.filters import mel as slaney  # noqa: PLC0415  # more than a second, and only workers need it

    bank = slaney(sr=rate_hz, n_fft=n_fft, n_mels=mel.n_mels, fmin=mel.fmin_hz, fmax=mel.fmax_hz)
    return [_cut_out(bank[low : low + 16]) for low in range(0, mel.n_mels, 16)]


def _cut_out(bands: Floats) -> tuple[slice, Floats]:
    used = np.flatnonzero(bands.any(axis=0))
    bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
    return bins, np.ascontiguousarray(bands[:, bins].T, np.float32)
