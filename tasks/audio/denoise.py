"""Steady background removed from a passage: non-stationary spectral gating, written for speed.

The arrays are frames-major, `(frame, bin)`, float32, and only the frames that the wanted samples depend on are
computed. The passes over them are the functions of `spectral`; a faster kernel may replace any of them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from tasks.audio.parameters import DenoiseSettings
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage, Samples
from tasks.audio.spectral import cells_kept, running_average, triangles
from tasks.audio.stft import frames, hann

_BATCH_FRAMES = 128  # of 513 bins: what a second-level cache holds


@dataclass(frozen=True)
class _Block:
    """A stretch gated on its own: `samples`, with zeros before and after, of which `wanted` are handed out."""

    samples: Samples
    zeros_before: int
    n_samples: int  # with the zeros
    wanted: slice

    def frames(self, n_fft: int) -> tuple[int, int, int]:
        """First and one-past-last frame that touch a sample, and how many there are with those of zeros alone."""
        hop, half = n_fft // 4, n_fft // 2
        n_frames = self.n_samples // hop + 1
        first = max(0, (self.zeros_before - half) // hop + 1)
        last = (self.zeros_before + len(self.samples) + half - 1) // hop
        return first, min(last + 1, n_frames), n_frames


def denoise(passage: Passage, preset: Preset) -> Samples:
    """The span of a passage, (n,) float32, with steady background removed as `preset.denoise.method` says.

    `non-stationary`: a time-frequency cell is kept by how far it stands above its own average of the last and next
    seconds: mask = sigmoid(slope * ((|X| - smooth(|X|)) / smooth(|X|) - threshold)), smoothed over frequency and
    time. Gated in blocks with their neighbourhood, so that a span of a long recording comes out as if the recording
    had been gated in one go; all zeros where a block is silent.
    `stationary`: noisereduce with its defaults, each span compared with its own first block.  `none`: as it is.
    Source: Sainburg, Thielk & Gentner 2020, PLOS Comput. Biol. 16(10); agrees with noisereduce 3.0
    `reduce_noise(stationary=False)` within 1e-5 of full scale (tests/unit/audio/test_denoise.py).
    """
    settings = preset.denoise
    if settings.method == "none":
        return passage.span
    if settings.method == "stationary":
        return _stationary(passage.span, preset)
    return np.concatenate([_gated(block, preset) for block in _blocks(passage, settings)])


def _stationary(samples: Samples, preset: Preset) -> Samples:
    import noisereduce  # noqa: PLC0415  # a second of imports for one method

    settings = preset.denoise
    return np.asarray(
        noisereduce.reduce_noise(
            y=samples,
            sr=preset.decode.rate_hz,
            stationary=True,
            n_fft=settings.n_fft,
            chunk_size=settings.block_samples,
            padding=settings.context_samples,
            freq_mask_smooth_hz=settings.smooth_hz,
            time_mask_smooth_ms=settings.smooth_ms,
        ),
        np.float32,
    )


def _blocks(passage: Passage, settings: DenoiseSettings) -> list[_Block]:
    """Blocks of equal length, the last one filled up with zeros; a recording that fits into one block is not filled."""
    context, whole = settings.context_samples, settings.block_samples
    if len(passage.samples) <= whole and passage.start == 0:
        n = len(passage.samples)
        return [_Block(passage.samples, context, n + 2 * context, slice(context, context + n))]
    blocks = []
    for start in range(passage.start, passage.stop, whole):
        low = max(0, start - context)
        zeros_before = low - (start - context)
        samples = passage.samples[low : start + whole + context]
        n_wanted = min(whole, passage.stop - start)
        blocks.append(_Block(samples, zeros_before, whole + 2 * context, slice(context, context + n_wanted)))
    return blocks


def _gated(block: _Block, preset: Preset) -> Samples:
    if not block.samples.any():
        return np.zeros(block.wanted.stop - block.wanted.start, np.float32)
    n_fft = preset.denoise.n_fft
    first, stop, n_frames = block.frames(n_fft)
    spectra, magnitudes = _spectra(block, first, stop, n_fft)
    average = running_average(
        magnitudes, _decay(preset), begins_with_zeros=first > 0, n_zero_frames_after=n_frames - stop
    )
    return _resynthesis(block, spectra, cells_kept(magnitudes, average, preset.denoise), preset)


def _decay(preset: Preset) -> float:
    """The share of its old value that the running average keeps a frame, as noisereduce derives it."""
    frames = preset.denoise.time_constant_s * preset.decode.rate_hz / (preset.denoise.n_fft // 4)
    return float(1 - (np.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2))


def _spectra(block: _Block, first: int, stop: int, n_fft: int) -> tuple[npt.NDArray[np.complex64], Samples]:
    """Short-time spectra and their magnitudes, both (frame, bin), of the frames from `first` to `stop`."""
    hop = n_fft // 4
    origin = first * hop - n_fft // 2
    padded = np.zeros((stop - first - 1) * hop + n_fft, np.float32)
    offset = block.zeros_before - origin
    kept = block.samples[max(0, -offset) : len(padded) - offset]
    padded[max(0, offset) : max(0, offset) + len(kept)] = kept
    cut, window = frames(padded, n_fft, hop), hann(n_fft)
    spectra = np.empty((len(cut), n_fft // 2 + 1), np.complex64)
    magnitudes = np.empty(spectra.shape, np.float32)
    for low in range(0, len(cut), _BATCH_FRAMES):
        batch = slice(low, low + _BATCH_FRAMES)
        spectra[batch] = scipy.fft.rfft(cut[batch] * window, axis=-1)
        np.abs(spectra[batch], out=magnitudes[batch])
    return spectra, magnitudes


def _resynthesis(block: _Block, spectra: npt.NDArray[np.complex64], mask: Samples, preset: Preset) -> Samples:
    """The wanted samples of a block: its spectra times the smoothed mask, inverted and overlap-added."""
    n_fft = preset.denoise.n_fft
    hop, half = n_fft // 4, n_fft // 2
    first = block.frames(n_fft)[0]
    low = max(first, (block.wanted.start - half) // hop + 1)
    high = min(first + len(spectra), (block.wanted.stop + half - 1) // hop + 1)
    window = hann(n_fft) / np.float32(1.5)
    mixed = np.zeros((block.wanted.stop // hop + 8, hop), np.float32)
    for start in range(low, high, _BATCH_FRAMES):
        stop = min(start + _BATCH_FRAMES, high)
        smoothed = _smoothed(mask, start - first, stop - first, preset)
        pieces = scipy.fft.irfft(spectra[start - first : stop - first] * smoothed, n=n_fft, axis=-1)
        pieces *= window
        for quarter in range(4):
            mixed[start + quarter : stop + quarter] += pieces[:, quarter * hop : (quarter + 1) * hop]
    return mixed.reshape(-1)[block.wanted.start + half : block.wanted.stop + half].copy()


def _smoothed(mask: Samples, low: int, high: int, preset: Preset) -> Samples:
    """Rows of the mask from low to high, smoothed over time and over bins; beyond its edges the mask is zero."""
    reach_bins, reach_frames = _reaches(preset)
    first, last = low - reach_frames, high + reach_frames
    inside = mask[max(0, first) : last]
    rows = np.pad(inside, ((max(0, -first), max(0, last - len(mask))), (reach_bins, reach_bins)))
    over_time: Samples = triangles(rows, reach_frames)
    return triangles(over_time.T, reach_bins).T


def _reaches(preset: Preset) -> tuple[int, int]:
    """How many bins and how many frames the mask's smoothing reaches to each side, as noisereduce counts them."""
    settings, rate_hz = preset.denoise, preset.decode.rate_hz
    hop_ms = settings.n_fft // 4 / rate_hz * 1000
    return int(settings.smooth_hz / (rate_hz / (settings.n_fft / 2))), int(settings.smooth_ms / hop_ms)
