"""Steady background removed from a passage: non-stationary spectral gating, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.audio.gating import Block, block, fill_gated
from tasks.audio.parameters import DenoiseSettings
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage, Samples


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
    gated, at = np.empty(passage.stop - passage.start, np.float32), 0
    for each in _blocks(passage, settings):
        n = each.wanted.stop - each.wanted.start
        fill_gated(each, settings, preset.decode.rate_hz, gated[at : at + n])
        at += n
    return gated


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


def _blocks(passage: Passage, settings: DenoiseSettings) -> Iterator[Block]:
    """Blocks of equal length, the last one filled up with zeros; a recording that fits into one block is not filled."""
    context, whole, samples = settings.context_samples, settings.block_samples, passage.samples
    if len(samples) <= whole and passage.start == 0:
        yield block(samples, context, len(samples) + 2 * context, slice(0, len(samples)), settings.n_fft)
        return
    for start in range(passage.start, passage.stop, whole):
        low = max(0, start - context)
        wanted = slice(start - low, min(start + whole, passage.stop) - low)
        part = samples[low : start + whole + context]
        yield block(part, low - (start - context), whole + 2 * context, wanted, settings.n_fft)
