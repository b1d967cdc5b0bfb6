"""Short-time spectra of 1,024 samples and back, compiled: radix-8 passes over contiguous lanes, one frame at a time.

Half the time of scipy's (docs/notes/performance.md): windowing, masking and overlap-adding happen while a frame is in
the first-level cache; parts lie apart and each pass reads one array and writes another, so that
all loops are vectorised.
Source: Stockham's ordering, in Van Loan 1992, Computational Frameworks for the Fast Fourier Transform, ch. 1.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.audio.fast.compiled import compiled, part

Floats = npt.NDArray[np.float32]

N_FFT = 1024
_HALF = 512  # complex points: even samples are their real parts, odd samples their imaginary parts


def _turns(n: int, angles: npt.NDArray[np.int64]) -> Floats:
    """cos and -sin of whole numbers of n-th turns, one after the other, flat."""
    turns = np.exp(-2j * np.pi * angles.reshape(-1) / n)
    return np.concatenate([turns.real, turns.imag]).astype(np.float32)


_EIGHTS = np.arange(8)[:, None]
_FIRST = _turns(512, _EIGHTS * np.arange(64))
_SECOND = _turns(64, _EIGHTS * np.tile(np.arange(8), 8))
_REAL = _turns(N_FFT, np.arange(_HALF))
_ROOT = np.float32(np.sqrt(0.5))


@part
def _four(re: Any, im: Any) -> Any:
    a, b, c, d = re[0] + re[2], re[0] - re[2], re[1] + re[3], re[1] - re[3]
    e, f, g, h = im[0] + im[2], im[0] - im[2], im[1] + im[3], im[1] - im[3]
    return (a + c, b + h, a - c, b - h), (e + g, f - d, e - g, f + d)


@part
def _eight(re: Any, im: Any) -> Any:
    """The discrete Fourier transform of eight complex numbers."""
    (a0, a1, a2, a3), (b0, b1, b2, b3) = _four((re[0], re[2], re[4], re[6]), (im[0], im[2], im[4], im[6]))
    (c0, c1, c2, c3), (d0, d1, d2, d3) = _four((re[1], re[3], re[5], re[7]), (im[1], im[3], im[5], im[7]))
    c1, d1 = _ROOT * (c1 + d1), _ROOT * (d1 - c1)
    c2, d2 = d2, -c2
    c3, d3 = _ROOT * (d3 - c3), -_ROOT * (c3 + d3)
    return (
        (a0 + c0, a1 + c1, a2 + c2, a3 + c3, a0 - c0, a1 - c1, a2 - c2, a3 - c3),
        (b0 + d0, b1 + d1, b2 + d2, b3 + d3, b0 - d0, b1 - d1, b2 - d2, b3 - d3),
    )


@part
def _taken(x: Floats, at: int, step: int) -> Any:
    return (
        x[at], x[at + step], x[at + 2 * step], x[at + 3 * step],
        x[at + 4 * step], x[at + 5 * step], x[at + 6 * step], x[at + 7 * step],
    )  # fmt: skip


@part
def _turned(x: Floats, y: Floats, turns: Floats) -> None:
    """Over the first of three axes of eight, each sum turned by what the next axis needs."""
    for i in range(64):
        re, im = _eight(_taken(x, i, 64), _taken(x, i + _HALF, 64))
        y[i], y[i + _HALF] = re[0], im[0]
        for k in range(1, 8):
            cos, sin = turns[64 * k + i], turns[64 * k + i + _HALF]
            y[64 * k + i] = re[k] * cos - im[k] * sin
            y[64 * k + i + _HALF] = re[k] * sin + im[k] * cos


@part
def _swapped(x: Floats, y: Floats) -> None:
    """The first two axes of eight exchanged; eight loads before eight stores become one of each."""
    for column in range(16):
        for row in range(8):
            low, high = _HALF * (column >> 3), column & 7
            at = low + 64 * high + 8 * row
            y[at], y[at + 1], y[at + 2], y[at + 3], y[at + 4], y[at + 5], y[at + 6], y[at + 7] = _taken(
                x, low + 64 * row + 8 * high, 1
            )


@part
def _last(x: Floats, y: Floats) -> None:
    """Over the last axis of eight, which becomes the first."""
    for i in range(64):
        re, im = _eight(_taken(x, 8 * i, 1), _taken(x, 8 * i + _HALF, 1))
        for k in range(8):
            y[64 * k + i], y[64 * k + i + _HALF] = re[k], im[k]


@part
def _transform(x: Floats, y: Floats) -> None:
    """The transform of 512 complex numbers, real parts first; x holds them before and after, y nothing of worth."""
    _turned(x, y, _FIRST)
    _swapped(y, x)
    _turned(x, y, _SECOND)
    _last(y, x)


@compiled
def spectra(samples: Floats, window: Floats, hop_samples: int, re: Floats, im: Floats) -> None:
    """Fills (frame, 513) real and imaginary parts of the spectra of windowed frames, hop_samples apart.

    samples: (n,) with n at least (frames - 1) * hop_samples + 1024.  As scipy.fft.rfft(frames * window).
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
            cos, sin = half * _REAL[k], half * _REAL[k + _HALF]
            real[k] = half * (a + c) + (b + d) * cos + (a - c) * sin
            imaginary[k] = half * (b - d) + (b + d) * sin - (a - c) * cos


@compiled
def overlap_added(re: Floats, im: Floats, mask: Floats, window: Floats, out: Floats) -> None:
    """Adds to `out` the windowed frames, 256 apart, of spectra times mask, all three (frame, 513).

    As scipy.fft.irfft((re + 1j * im) * mask) * window; what is imaginary at bins 0 and 512 does not count.
    """
    x, y = np.empty(N_FFT, np.float32), np.empty(N_FFT, np.float32)
    scale = np.float32(1 / N_FFT)
    for row in range(len(re)):
        real, imaginary, kept, frame = re[row], im[row], mask[row], out[row * (N_FFT // 4) :]
        first, last = real[0] * kept[0], real[_HALF] * kept[_HALF]
        x[0], x[_HALF] = first - last, first + last  # parts exchanged: so the transform runs backwards
        for k in range(1, _HALF):
            m, n = kept[k], kept[_HALF - k]
            a, b, c, d = real[k] * m, imaginary[k] * m, real[_HALF - k] * n, imaginary[_HALF - k] * n
            x[k] = b - d + (a - c) * _REAL[k] + (b + d) * _REAL[k + _HALF]
            x[k + _HALF] = a + c - (b + d) * _REAL[k] + (a - c) * _REAL[k + _HALF]
        _transform(x, y)
        for j in range(_HALF):
            frame[2 * j] += x[j + _HALF] * (scale * window[2 * j])
            frame[2 * j + 1] += x[j] * (scale * window[2 * j + 1])
