"""Compiled short-time Fourier transform of 1,024 samples and its inverse: radix-8 passes, one frame at a time.

It takes half of scipy's time (docs/notes/performance.md), for two reasons. Windowing, masking and overlap-add happen
while a frame is in the L1 cache. Real and imaginary parts are stored apart, and each pass reads one array and writes
another, so that LLVM vectorises all loops.
Source: Stockham's ordering, in Van Loan 1992, Computational Frameworks for the Fast Fourier Transform, ch. 1.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.audio.fast.compiled import compiled, part

Floats = npt.NDArray[np.float32]

N_FFT = 1024
_HALF = 512  # a real transform of 1,024 samples is a complex one of 512: even samples real, odd samples imaginary


def _twiddles(n: int, steps: npt.NDArray[np.int64]) -> Floats:
    """Return the twiddle factors exp(-2j * pi * steps / n), flat: all real parts, then all imaginary parts."""
    factors = np.exp(-2j * np.pi * steps.reshape(-1) / n)
    return np.concatenate([factors.real, factors.imag]).astype(np.float32)


_ROWS = np.arange(8)[:, None]
_TWIDDLES_512 = _twiddles(512, _ROWS * np.arange(64))
_TWIDDLES_64 = _twiddles(64, _ROWS * np.tile(np.arange(8), 8))
_TWIDDLES_1024 = _twiddles(N_FFT, np.arange(_HALF))
_SQRT_HALF = np.float32(np.sqrt(0.5))


@part
def _dft_4(re: Any, im: Any) -> Any:
    a, b, c, d = re[0] + re[2], re[0] - re[2], re[1] + re[3], re[1] - re[3]
    e, f, g, h = im[0] + im[2], im[0] - im[2], im[1] + im[3], im[1] - im[3]
    return (a + c, b + h, a - c, b - h), (e + g, f - d, e - g, f + d)


@part
def _dft_8(re: Any, im: Any) -> Any:
    """Return the discrete Fourier transform of eight complex numbers."""
    (a0, a1, a2, a3), (b0, b1, b2, b3) = _dft_4((re[0], re[2], re[4], re[6]), (im[0], im[2], im[4], im[6]))
    (c0, c1, c2, c3), (d0, d1, d2, d3) = _dft_4((re[1], re[3], re[5], re[7]), (im[1], im[3], im[5], im[7]))
    c1, d1 = _SQRT_HALF * (c1 + d1), _SQRT_HALF * (d1 - c1)
    c2, d2 = d2, -c2
    c3, d3 = _SQRT_HALF * (d3 - c3), -_SQRT_HALF * (c3 + d3)
    return (
        (a0 + c0, a1 + c1, a2 + c2, a3 + c3, a0 - c0, a1 - c1, a2 - c2, a3 - c3),
        (b0 + d0, b1 + d1, b2 + d2, b3 + d3, b0 - d0, b1 - d1, b2 - d2, b3 - d3),
    )


@part
def _load_eight(x: Floats, at: int, step: int) -> Any:
    return (
        x[at], x[at + step], x[at + 2 * step], x[at + 3 * step],
        x[at + 4 * step], x[at + 5 * step], x[at + 6 * step], x[at + 7 * step],
    )  # fmt: skip


@part
def _first_pass(x: Floats, y: Floats, twiddles: Floats) -> None:
    """Transform the first of three axes of length eight, and multiply by the twiddle factors of the next axis."""
    for i in range(64):
        re, im = _dft_8(_load_eight(x, i, 64), _load_eight(x, i + _HALF, 64))
        y[i], y[i + _HALF] = re[0], im[0]
        for k in range(1, 8):
            cos, sin = twiddles[64 * k + i], twiddles[64 * k + i + _HALF]
            y[64 * k + i] = re[k] * cos - im[k] * sin
            y[64 * k + i + _HALF] = re[k] * sin + im[k] * cos


@part
def _transpose(x: Floats, y: Floats) -> None:
    """Transpose the first two axes of length eight. LLVM merges eight loads, and then eight stores, into one each."""
    for column in range(16):
        for row in range(8):
            low, high = _HALF * (column >> 3), column & 7
            at = low + 64 * high + 8 * row
            y[at], y[at + 1], y[at + 2], y[at + 3], y[at + 4], y[at + 5], y[at + 6], y[at + 7] = _load_eight(
                x, low + 64 * row + 8 * high, 1
            )


@part
def _last_pass(x: Floats, y: Floats) -> None:
    """Transform the last axis of length eight, and store it as the first."""
    for i in range(64):
        re, im = _dft_8(_load_eight(x, 8 * i, 1), _load_eight(x, 8 * i + _HALF, 1))
        for k in range(8):
            y[64 * k + i], y[64 * k + i + _HALF] = re[k], im[k]


@part
def _transform(x: Floats, y: Floats) -> None:
    """Transform 512 complex numbers in place. x: (1024,), real parts, then imaginary parts.  y: scratch, (1024,)."""
    _first_pass(x, y, _TWIDDLES_512)
    _transpose(y, x)
    _first_pass(x, y, _TWIDDLES_64)
    _last_pass(y, x)


@compiled
def spectra(samples: Floats, window: Floats, hop_samples: int, re: Floats, im: Floats) -> None:
    """Fill re and im, (frame, 513) float32, with the spectra of windowed frames, hop_samples apart.

    samples: (n,) float32, n >= (frames - 1) * hop_samples + 1024.  window: (1024,) float32.
    Equals scipy.fft.rfft(frames * window).
    """
    x, y = np.empty(N_FFT, np.float32), np.empty(N_FFT, np.float32)
    half = np.float32(0.5)
    for row in range(len(re)):
        frame, real, imaginary = samples[row * hop_samples :], re[row], im[row]
        for j in range(_HALF):
            x[j], x[j + _HALF] = frame[2 * j] * window[2 * j], frame[2 * j + 1] * window[2 * j + 1]
        _transform(x, y)
        real[0], imaginary[0] = x[0] + x[_HALF], 0
        real[_HALF], imaginary[_HALF] = x[0] - x[_HALF], 0
        for k in range(1, _HALF):
            a, b, c, d = x[k], x[k + _HALF], x[_HALF - k], x[N_FFT - k]
            cos, sin = half * _TWIDDLES_1024[k], half * _TWIDDLES_1024[k + _HALF]
            real[k] = half * (a + c) + (b + d) * cos + (a - c) * sin
            imaginary[k] = half * (b - d) + (b + d) * sin - (a - c) * cos


@compiled
def overlap_add(re: Floats, im: Floats, mask: Floats, window: Floats, out: Floats) -> None:
    """Multiply spectra by a mask, transform back, and add the windowed frames to `out`, 256 samples apart.

    re, im, mask: (frame, 513) float32.  out: (n,) float32, n >= (frames - 1) * 256 + 1024.
    Adds scipy.fft.irfft((re + 1j * im) * mask) * window; the imaginary parts of bins 0 and 512 are ignored.
    """
    x, y = np.empty(N_FFT, np.float32), np.empty(N_FFT, np.float32)
    scale = np.float32(1 / N_FFT)
    for row in range(len(re)):
        real, imaginary, kept, frame = re[row], im[row], mask[row], out[row * (N_FFT // 4) :]
        first, last = real[0] * kept[0], real[_HALF] * kept[_HALF]
        x[0], x[_HALF] = first - last, first + last  # swapped real and imaginary parts invert the transform
        for k in range(1, _HALF):
            m, n = kept[k], kept[_HALF - k]
            a, b, c, d = real[k] * m, imaginary[k] * m, real[_HALF - k] * n, imaginary[_HALF - k] * n
            x[k] = b - d + (a - c) * _TWIDDLES_1024[k] + (b + d) * _TWIDDLES_1024[k + _HALF]
            x[k + _HALF] = a + c - (b + d) * _TWIDDLES_1024[k] + (a - c) * _TWIDDLES_1024[k + _HALF]
        _transform(x, y)
        for j in range(_HALF):
            frame[2 * j] += x[j + _HALF] * (scale * window[2 * j])
            frame[2 * j + 1] += x[j] * (scale * window[2 * j + 1])
