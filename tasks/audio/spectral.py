"""Reference implementation of spectral gating over (frame, bin) arrays: running average, mask, smoothing.

`fast/kernels.py` computes the same faster; tests compare the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tasks.audio.parameters import DenoiseSettings

Cells = npt.NDArray[np.float32]

_BLOCK_FRAMES = 32


def running_average(magnitudes: Cells, decay: float, *, begins_with_zeros: bool, n_zero_frames_after: int) -> Cells:
    """Return the exponential average of each bin over time, forwards and then backwards.

    magnitudes: (frame, bin) float32, >= 0.  decay: weight of the previous frame, 0..1.
    begins_with_zeros: frames of zeros precede.  n_zero_frames_after: frames of zeros that follow, >= 0.
    Returns (frame, bin) float32.
    The forward pass is y[f] = (1 - decay) x[f] + decay y[f - 1], with y[-1] = x[0], or 0 after frames of zeros; the
    backward pass is the same from the end. Implied frames of zeros count although they are not stored.
    Each step computes 32 frames of the recursion as one product with a triangular matrix.
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
    state = average[-1] * np.float32(backward_gain(decay, n_zero_frames_after))
    for low in reversed(range(0, len(magnitudes), _BLOCK_FRAMES)):
        rows = average[low : low + _BLOCK_FRAMES]
        n = len(rows)
        rows[:] = ahead[:n, :n].T @ rows + fading[:n][::-1] * state
        state = rows[0]
    return average


def backward_gain(decay: float, n_zeros: int) -> float:
    """Return the backward average at the first of `n_zeros` zero frames, if the forward average before them is 1.

    Over the zero frames the forward average decays as decay**j; the backward average starts from its last value.
    Returns 1 without zero frames.

    >>> backward_gain(0.5, 0), backward_gain(0.5, 1)
    (1.0, 0.5)
    """
    if n_zeros == 0:
        return 1.0
    left = decay ** (2 * (n_zeros - 1))
    return decay * ((1 - decay) * (1 - left) / (1 - decay**2) + left)


def gate_mask(magnitudes: Cells, average: Cells, settings: DenoiseSettings) -> Cells:
    """Return the mask: sigmoid(slope * ((magnitude - average) / average - threshold)), in 0..1.

    magnitudes, average: (frame, bin) float32, >= 0.  Returns (frame, bin) float32; almost 0 where both are zero.
    """
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


def triangular_mean(cells: Cells, reach: int) -> Cells:
    """Return the triangular moving average along the first axis, over 2 * reach + 1 neighbours.

    cells: (n, ...) float32.  Returns (n - 2 * reach, ...) float32.
    Two box filters in sequence are one triangular filter.
    """
    sums = _box_sums(_box_sums(cells, reach + 1), reach + 1)
    return sums * np.float32(1 / (reach + 1) ** 2)


def _box_sums(cells: Cells, width: int) -> Cells:
    """Return moving sums of `width` neighbours, from sums of half the width: a cumulative sum would lose precision."""
    if width == 1:
        return cells
    half = width // 2
    halves = _box_sums(cells, half)
    both = halves[:-half] + halves[half:]
    return both if width % 2 == 0 else both[:-1] + cells[width - 1 :]
