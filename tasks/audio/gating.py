"""Spectral gating of one block: multiply its short-time spectra by a mask, and transform back to samples.

Arrays are (frame, bin) float32. Frames are processed in batches that fit into the L2 cache, in two passes. The forward
pass computes the spectra and the forward half of the running average. The backward pass computes the backward half,
the mask and the inverse transform.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from tasks.audio.parameters import DenoiseSettings
from tasks.audio.recording import Samples
from tasks.audio.spectral import backward_gain
from tasks.audio.stft import add_frames, fill_spectra

_BATCH_FRAMES = 64  # three arrays of 64 x 513 float32 take less than half of an L2 cache
_WINDOW_SQUARE_SUM = 1.5  # sum of squared Hann windows at a hop of a quarter window


@dataclass(frozen=True, eq=False)
class Block:
    """A section of a recording that is gated independently, and the positions of its frames.

    samples: (n,) float32; the zeros that surround them are implied, not stored.  wanted: the part to return.
    origin: index in `samples` at which the first stored frame begins; negative if the frame begins in implied zeros.
    n_frames: number of frames that overlap a sample; only these are computed.
    begins_with_zeros: True if frames of only zeros precede them.
    n_zero_frames_after: number of frames of only zeros that follow them.
    """

    samples: Samples
    wanted: slice
    origin: int
    n_frames: int
    begins_with_zeros: bool
    n_zero_frames_after: int


def make_block(samples: Samples, zeros_before: int, n_samples: int, wanted: slice, n_fft: int) -> Block:
    """Return a block of `n_samples` samples, with frames centred on multiples of n_fft / 4.

    samples: (n,) float32.  zeros_before: implied zeros before them.
    n_samples: length of the block including all implied zeros, >= zeros_before + n.  wanted: slice of `samples`.
    """
    hop, half = n_fft // 4, n_fft // 2
    n_frames = n_samples // hop + 1
    first = max(0, (zeros_before - half) // hop + 1)
    stop = min((zeros_before + len(samples) + half - 1) // hop + 1, n_frames)
    return Block(samples, wanted, first * hop - half - zeros_before, stop - first, first > 0, n_frames - stop)


class _Gate(NamedTuple):
    """Constants derived from the denoiser's settings. over_frames, over_bins: see `triangle`."""

    hop_samples: int
    decay: float
    sigmoid: tuple[np.float32, np.float32]
    over_frames: Samples
    over_bins: Samples
    batch_frames: int


@lru_cache(maxsize=4)
def _gate(settings: DenoiseSettings, rate_hz: int) -> _Gate:
    """Derive the constants as noisereduce does. `decay` is the weight of the previous frame in the running average."""
    hop = settings.n_fft // 4
    frames = settings.time_constant_s * rate_hz / hop
    decay = 1 - (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    reaches = int(settings.smooth_ms / (hop / rate_hz * 1000)), int(settings.smooth_hz / (rate_hz / (2 * hop)))
    sigmoid = np.float32(settings.slope), np.float32(settings.threshold)
    over_frames, over_bins = (triangle(reach) for reach in reaches)
    return _Gate(hop, decay, sigmoid, over_frames, over_bins, max(_BATCH_FRAMES, 2 * len(over_frames)))


def triangle(reach: int) -> Samples:
    """Return one half of a triangular window, from its centre outwards, float32.

    reach: number of neighbours on each side with a weight above zero.
    The whole window sums to 1. Zeros pad the half behind its centre to a multiple of 3 weights, because the kernel
    adds three rows at a time.

    >>> (triangle(2) * 9).round().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """
    weights = np.arange(reach + 1, -(-reach % 3), -1).clip(0) / (reach + 1) ** 2
    return weights.astype(np.float32)


class _Workspace(threading.local):
    """Scratch memory of a thread, reused for every block: new pages would cost as much time as the transforms."""

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def arrays(self, *shapes: tuple[int, ...]) -> list[Samples]:
        """Return uninitialised float32 arrays of these shapes; the next call reuses their memory."""
        sizes = [math.prod(shape) for shape in shapes]
        if sum(sizes) > len(self._values):
            self._values = np.empty(sum(sizes), np.float32)
        starts = accumulate(sizes[:-1], initial=0)
        parts = zip(starts, sizes, shapes, strict=True)
        return [self._values[start : start + size].reshape(shape) for start, size, shape in parts]


_workspace = _Workspace()


def gate_block(block: Block, settings: DenoiseSettings, rate_hz: int, out: Samples) -> None:
    """Fill `out` with the gated samples of `block.wanted`; zeros if the whole block is silent.

    rate_hz: sampling rate, > 0.  out: float32, as long as `block.wanted`.
    """
    if not block.samples.any():
        out[:] = 0
        return
    gate, shape = _gate(settings, rate_hz), (block.n_frames, settings.n_fft // 2 + 1)
    re, im, overlapped = _workspace.arrays(shape, shape, ((block.n_frames + 3) * settings.n_fft // 4,))
    overlapped[:] = 0
    states = _forward_pass(block, gate, re, im)
    _backward_pass(block, gate, (re, im, states), overlapped)
    wanted = overlapped[block.wanted.start - block.origin : block.wanted.stop - block.origin]
    np.multiply(wanted, np.float32(1 / _WINDOW_SQUARE_SUM), out=out)


def _forward_pass(block: Block, gate: _Gate, re: Samples, im: Samples) -> Samples:
    """Fill the real and imaginary parts of the spectra, and return the forward average at each batch boundary.

    Returns (n_batches + 1, bin). The backward pass recomputes the averages inside a batch, because storing and loading
    them takes longer.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # importing numba takes half a second

    hop, n_bins = gate.hop_samples, re.shape[1]
    starts = range(0, len(re), gate.batch_frames)
    states = np.zeros((len(starts) + 1, n_bins), np.float32)
    averages = np.empty((gate.batch_frames, n_bins), np.float32)
    for index, low in enumerate(starts):
        rows = slice(low, min(low + gate.batch_frames, len(re)))
        samples = _zero_padded(block.samples, block.origin + low * hop, (rows.stop - low + 3) * hop)
        fill_spectra(samples, hop, re[rows], im[rows])
        if low == 0 and not block.begins_with_zeros:
            np.hypot(re[0], im[0], out=states[0])  # scipy's initial condition: the first frame extends to the left
        states[index + 1] = states[index]
        kernels.average_forwards(re[rows], im[rows], np.float32(gate.decay), states[index + 1], averages)
    return states


def _zero_padded(samples: Samples, start: int, length: int) -> Samples:
    """Return `length` samples from index `start`, with zeros outside the array."""
    if 0 <= start <= len(samples) - length:
        return samples[start : start + length]
    padded = np.zeros(length, np.float32)
    kept = samples[max(0, start) : start + length]
    padded[max(0, -start) : max(0, -start) + len(kept)] = kept
    return padded


def _backward_pass(block: Block, gate: _Gate, arrays: tuple[Samples, Samples, Samples], overlapped: Samples) -> None:
    """Multiply the spectra by the smoothed mask, from the last frame to the first, and overlap-add into `overlapped`.

    Only frames that overlap a wanted sample are transformed.
    arrays: the spectra and the result of `_forward_pass`.
    `masks` holds `reach` rows of zeros (the frames before the block), the masks of the batch, and 2 * reach masks of
    the batch processed before, since smoothing needs neighbours on both sides.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # importing numba takes half a second

    re, im, states = arrays
    decay, reach = np.float32(gate.decay), len(gate.over_frames) - 1
    masks = np.zeros((gate.batch_frames + 3 * reach, re.shape[1]), np.float32)
    smoothed = np.empty((gate.batch_frames + reach, re.shape[1]), np.float32)
    gain = np.float32(backward_gain(gate.decay, block.n_zero_frames_after))
    state, n_open = states[-1] * gain, len(re)
    for index, low in reversed(list(enumerate(range(0, len(re), gate.batch_frames)))):
        rows = slice(low, min(low + gate.batch_frames, len(re)))
        behind = reach + rows.stop - low
        masks[behind : behind + 2 * reach] = masks[reach : 3 * reach]
        cells = masks[reach:behind]
        kernels.average_forwards(re[rows], im[rows], decay, states[index], cells)
        kernels.fill_mask((re[rows], im[rows]), cells, decay, state, gate.sigmoid)
        ready = min(low + reach if low else 0, n_open)  # from this frame on, all masks for smoothing are computed
        todo = _frames_overlapping(block, gate.hop_samples, slice(ready, n_open))
        kept, near = smoothed[: todo.stop - todo.start], masks[todo.start - low : todo.stop - low + 2 * reach]
        kernels.smooth_mask(near, gate.over_frames, gate.over_bins, kept)
        add_frames(re[todo], im[todo], kept, overlapped[todo.start * gate.hop_samples :])
        n_open = ready


def _frames_overlapping(block: Block, hop: int, rows: slice) -> slice:
    """Return the frames of `rows` that overlap a wanted sample. A frame is four hops long."""
    first = (block.wanted.start - block.origin) // hop - 3
    last = (block.wanted.stop - 1 - block.origin) // hop
    start = max(rows.start, first)
    return slice(start, max(start, min(rows.stop, last + 1)))
