"""What spectral gating computes over `(frame, bin)` arrays, said plainly: running average, mask, smoothing.

`kernels` computes the same faster and is tested against these.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.audio.parameters import DenoiseSettings

Cells = npt.NDArray[np.float32]

_BLOCK_FRAMES = 32


def running_average(magnitudes: Cells, decay: float, *, begins_with_zeros: bool, n_zero_frames_after: int) -> Cells:
    """Each bin averaged over time, exponentially, forwards and then backwards; (frame, bin) float32.

    y[f] = (1 - decay) x[f] + decay y[f - 1], started as if the first frame had lasted for ever, then the same from
    the end. Frames of zeros before and after the given ones are reckoned with, not stored. The recursion over 32
    frames is one product with a triangular matrix.
    Source: scipy.signal.filtfilt with padtype=None.
    """
    powers = decay ** np.arange(_BLOCK_FRAMES + 1)
    steps = np.arange(_BLOCK_FRAMES)
    ahead = np.tril((1 - decay) * decay ** np.abs(steps[:, None] - steps)).astype(np.float32)
    fading = powers[1:, None].astype(np.float32)
    average = np.empty_like(magnitudes)
    state = np.zeros_like(magnitudes[0]) if begins_with_zeros else magnitudes[0]
    for low in range(0, len(magnitudes), _BLOCK_FRAMES):
        rows = magnitudes[low : low + _BLOCK_FRAMES]
        n = len(rows)
        np.matmul(ahead[:n, :n], rows, out=average[low : low + n])
        average[low : low + n] += fading[:n] * state
        state = average[low + n - 1]
    state = average[-1] * np.float32(echo(decay, n_zero_frames_after))
    for low in reversed(range(0, len(magnitudes), _BLOCK_FRAMES)):
        rows = average[low : low + _BLOCK_FRAMES]
        n = len(rows)
        rows[:] = ahead[:n, :n].T @ rows + fading[:n][::-1] * state
        state = rows[0]
    return average


def echo(decay: float, n_zeros: int) -> float:
    """The backward average at the first of `n_zeros` frames of zeros, for a forward average of 1 before them.

    The forward average fades as decay**j; the backward one starts from its last value. With no zeros it is 1.
    """
    if n_zeros == 0:
        return 1.0
    left = decay ** (2 * (n_zeros - 1))
    return decay * ((1 - decay) * (1 - left) / (1 - decay**2) + left)


def cells_kept(magnitudes: Cells, average: Cells, settings: DenoiseSettings) -> Cells:
    """How much of each cell is kept, 0..1: the sigmoid of its height above its average; 0 where both are zero."""
    mask = np.empty_like(magnitudes)
    offset = np.float32(settings.slope * (1 + settings.threshold))
    smallest = np.finfo(np.float32).tiny
    for low in range(0, len(mask), 2 * _BLOCK_FRAMES):
        rows = slice(low, low + 2 * _BLOCK_FRAMES)
        part = mask[rows]
        np.divide(magnitudes[rows], np.maximum(average[rows], smallest), out=part)
        part *= np.float32(-settings.slope)
        part += offset
        np.exp(part, out=part)
        part += 1
        np.reciprocal(part, out=part)
    return mask


def triangles(cells: Cells, reach: int) -> Cells:
    """The weighted mean of every 2 * reach + 1 neighbours along the first axis: (n - 2 * reach, ...) of (n, ...).

    The weights rise and fall evenly; a triangle is a box laid over a box.
    """
    sums = _box_sums(_box_sums(cells, reach + 1), reach + 1)
    return sums * np.float32(1 / (reach + 1) ** 2)


def _box_sums(cells: Cells, width: int) -> Cells:
    """The sum of every `width` neighbours, from sums of half as many: a running total would lose small values."""
    if width == 1:
        return cells
    half = width // 2
    halves = _box_sums(cells, half)
    both = halves[:-half] + halves[half:]
    return both if width % 2 == 0 else both[:-1] + cells[width - 1 :]
