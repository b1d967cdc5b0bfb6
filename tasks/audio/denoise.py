"""Removes steady background from a span by spectral gating, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.audio.gating import Block, gate_block, make_block
from tasks.audio.parameters import DenoiseSettings
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage, Samples


def denoise(passage: Passage, preset: Preset) -> Samples:
    """Return the span of a passage with steady background removed by the method `preset.denoise.method`.

    Returns (passage.stop - passage.start,) float32, full scale ±1.
    `non-stationary`: compares each time-frequency cell with a running average of its own bin over the seconds before
    and after: mask = sigmoid(slope * ((|X| - smooth(|X|)) / smooth(|X|) - threshold)), smoothed over frequency and
    time. Blocks are gated with their context, so a span of a long recording equals the same part of the recording
    gated as a whole. A silent block gives zeros.
    `stationary`: calls noisereduce with its defaults; each span is compared with its own first block.
    `none`: returns the samples unchanged.
    Source: Sainburg, Thielk & Gentner 2020, PLOS Comput. Biol. 16(10); agrees with noisereduce 3.0
    `reduce_noise(stationary=False)` within 1e-5 of full scale (tests/unit/audio/test_denoise.py).
    """
    settings = preset.denoise
    if settings.method == "none":
        return passage.span
    if settings.method == "stationary":
        return _stationary(passage, preset)
    gated, at = np.empty(passage.stop - passage.start, np.float32), 0
    for block in _blocks(passage, settings):
        n = block.wanted.stop - block.wanted.start
        gate_block(block, settings, preset.decode.rate_hz, gated[at : at + n])
        at += n
    return gated


def _stationary(passage: Passage, preset: Preset) -> Samples:
    import noisereduce  # noqa: PLC0415  # imports for a second; only this method needs it

    settings, n = preset.denoise, passage.stop - passage.start
    denoised = np.asarray(
        noisereduce.reduce_noise(
            y=passage.samples[passage.start :][: settings.whole_blocks(n)],
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
    return denoised[:n]


def _blocks(passage: Passage, settings: DenoiseSettings) -> Iterator[Block]:
    """Yield blocks of equal length; zeros pad the last one, except in a recording that fits into one block."""
    context, whole, samples = settings.context_samples, settings.block_samples, passage.samples
    if len(samples) <= whole and passage.start == 0:
        yield make_block(samples, context, len(samples) + 2 * context, slice(0, len(samples)), settings.n_fft)
        return
    for start in range(passage.start, passage.stop, whole):
        low = max(0, start - context)
        wanted = slice(start - low, min(start + whole, passage.stop) - low)
        part = samples[low : start + whole + context]
        yield make_block(part, low - (start - context), whole + 2 * context, wanted, settings.n_fft)
