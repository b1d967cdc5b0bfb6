"""One block through the spectral gate: its short-time spectra times a mask, and back to samples.

Arrays are (frame, bin) float32, and pass through the second-level cache a batch of frames at a time: forwards for the
spectra and the first half of the running average, then backwards for its second half, the mask and the inversion.
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
from tasks.audio.spectral import echo
from tasks.audio.stft import add_frames, fill_spectra

_BATCH_FRAMES = 64  # with three arrays of 513 bins less than half of a second-level cache
_SQUARES = 1.5  # what the squares of Hann windows a quarter apart add up to


@dataclass(frozen=True, eq=False)
class Block:
    """A stretch gated on its own, and where its frames lie.

    samples: (n,) float32, with zeros before and after that are not stored.  wanted: the samples that are handed out.
    origin: where the first frame that touches a sample begins; negative where zeros come before.
    n_frames: that touch a sample.  begins_with_zeros, n_zero_frames_after: the frames that touch none.
    """

    samples: Samples
    wanted: slice
    origin: int
    n_frames: int
    begins_with_zeros: bool
    n_zero_frames_after: int


def block(samples: Samples, zeros_before: int, n_samples: int, wanted: slice, n_fft: int) -> Block:
    """The block of so many samples, zeros before and after included, whose frames are centred on quarters of n_fft."""
    hop, half = n_fft // 4, n_fft // 2
    n_frames = n_samples // hop + 1
    first = max(0, (zeros_before - half) // hop + 1)
    stop = min((zeros_before + len(samples) + half - 1) // hop + 1, n_frames)
    return Block(samples, wanted, first * hop - half - zeros_before, stop - first, first > 0, n_frames - stop)


class _Gate(NamedTuple):
    """The denoiser's settings as its passes need them; weights are those of triangles, from the middle outwards."""

    hop_samples: int
    decay: float
    sigmoid: tuple[np.float32, np.float32]
    over_frames: Samples
    over_bins: Samples
    batch_frames: int


@lru_cache(maxsize=4)
def _gate(settings: DenoiseSettings, rate_hz: int) -> _Gate:
    """As noisereduce derives it: `decay` is the share of its old value that the running average keeps a frame."""
    hop = settings.n_fft // 4
    frames = settings.time_constant_s * rate_hz / hop
    decay = 1 - (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)
    reaches = int(settings.smooth_ms / (hop / rate_hz * 1000)), int(settings.smooth_hz / (rate_hz / (2 * hop)))
    sigmoid = np.float32(settings.slope), np.float32(settings.threshold)
    over_frames, over_bins = (triangle(reach) for reach in reaches)
    return _Gate(hop, decay, sigmoid, over_frames, over_bins, max(_BATCH_FRAMES, 2 * len(over_frames)))


def triangle(reach: int) -> Samples:
    """Weights that fall evenly to each side, the sum of both 1, from the middle outwards; a multiple of 3 beside it."""
    weights = np.arange(reach + 1, -(-reach % 3), -1).clip(0) / (reach + 1) ** 2
    return weights.astype(np.float32)


class _Workspace(threading.local):
    """Memory to work on, kept from block to block: fresh pages would cost as much as the transforms."""

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def arrays(self, *shapes: tuple[int, ...]) -> list[Samples]:
        """Arrays of these shapes that hold anything, the caller's until the next call."""
        sizes = [math.prod(shape) for shape in shapes]
        if sum(sizes) > len(self._values):
            self._values = np.empty(sum(sizes), np.float32)
        starts = accumulate(sizes[:-1], initial=0)
        parts = zip(starts, sizes, shapes, strict=True)
        return [self._values[start : start + size].reshape(shape) for start, size, shape in parts]


_workspace = _Workspace()


def fill_gated(block: Block, settings: DenoiseSettings, rate_hz: int, out: Samples) -> None:
    """Fills `out` with the wanted samples of the block, gated; zeros where the block is silent."""
    if not block.samples.any():
        out[:] = 0
        return
    gate, shape = _gate(settings, rate_hz), (block.n_frames, settings.n_fft // 2 + 1)
    re, im, mixed = _workspace.arrays(shape, shape, ((block.n_frames + 3) * settings.n_fft // 4,))
    mixed[:] = 0
    _mix_backwards(block, gate, (re, im, _forwards(block, gate, re, im)), mixed)
    wanted = mixed[block.wanted.start - block.origin : block.wanted.stop - block.origin]
    np.multiply(wanted, np.float32(1 / _SQUARES), out=out)


def _forwards(block: Block, gate: _Gate, re: Samples, im: Samples) -> Samples:
    """Fills real and imaginary parts of the spectra; their average before each batch, and after the last.

    (batch + 1, bin): the averages between are computed again, which takes less time than to store and to load them.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # numba takes half a second

    hop, n_bins = gate.hop_samples, re.shape[1]
    starts = range(0, len(re), gate.batch_frames)
    states = np.zeros((len(starts) + 1, n_bins), np.float32)
    averages = np.empty((gate.batch_frames, n_bins), np.float32)
    for index, low in enumerate(starts):
        rows = slice(low, min(low + gate.batch_frames, len(re)))
        samples = _padded(block.samples, block.origin + low * hop, (rows.stop - low + 3) * hop)
        fill_spectra(samples, hop, re[rows], im[rows])
        if low == 0 and not block.begins_with_zeros:
            np.hypot(re[0], im[0], out=states[0])  # as if the first frame had lasted for ever
        states[index + 1] = states[index]
        kernels.average_forwards(re[rows], im[rows], np.float32(gate.decay), states[index + 1], averages)
    return states


def _padded(samples: Samples, start: int, length: int) -> Samples:
    """So many samples from `start` on; zeros where there are none."""
    if 0 <= start <= len(samples) - length:
        return samples[start : start + length]
    padded = np.zeros(length, np.float32)
    kept = samples[max(0, start) : start + length]
    padded[max(0, -start) : max(0, -start) + len(kept)] = kept
    return padded


def _mix_backwards(block: Block, gate: _Gate, arrays: tuple[Samples, Samples, Samples], mixed: Samples) -> None:
    """Adds to `mixed` the frames that touch wanted samples, times the smoothed mask, the last ones first.

    arrays: spectra and states of `_forwards`.  The masks at hand are zeros before the first frame, those of a batch,
    and of as many frames after it as smoothing reaches twice.
    """
    from tasks.audio.fast import kernels  # noqa: PLC0415  # numba takes half a second

    re, im, states = arrays
    decay, reach = np.float32(gate.decay), len(gate.over_frames) - 1
    masks = np.zeros((gate.batch_frames + 3 * reach, re.shape[1]), np.float32)
    smoothed = np.empty((gate.batch_frames + reach, re.shape[1]), np.float32)
    state, undone = states[-1] * np.float32(echo(gate.decay, block.n_zero_frames_after)), len(re)
    for index, low in reversed(list(enumerate(range(0, len(re), gate.batch_frames)))):
        rows = slice(low, min(low + gate.batch_frames, len(re)))
        behind = reach + rows.stop - low
        masks[behind : behind + 2 * reach] = masks[reach : 3 * reach]
        cells = masks[reach:behind]
        kernels.average_forwards(re[rows], im[rows], decay, states[index], cells)
        kernels.cells_kept((re[rows], im[rows]), cells, decay, state, gate.sigmoid)
        settled = min(low + reach if low else 0, undone)  # from here on all neighbours are known
        todo = _touching(block, gate.hop_samples, slice(settled, undone))
        kept, near = smoothed[: todo.stop - todo.start], masks[todo.start - low : todo.stop - low + 2 * reach]
        kernels.smoothed(near, gate.over_frames, gate.over_bins, kept)
        add_frames(re[todo], im[todo], kept, mixed[todo.start * gate.hop_samples :])
        undone = settled


def _touching(block: Block, hop: int, rows: slice) -> slice:
    """Those of the frames that touch a wanted sample; a frame is four hops long."""
    first = (block.wanted.start - block.origin) // hop - 3
    last = (block.wanted.stop - 1 - block.origin) // hop
    start = max(rows.start, first)
    return slice(start, max(start, min(rows.stop, last + 1)))
