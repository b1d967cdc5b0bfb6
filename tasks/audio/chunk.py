"""How a recording is cut: into spans to work on, and these into chunks to classify."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tasks.audio.headers import MOST_FRAMES_PER_BYTE
from tasks.audio.preset import Preset

Samples = npt.NDArray[np.float32]


def n_spans(n_frames: int, rate_hz: int, size_bytes: int, preset: Preset) -> int:
    """How many spans a recording with that header has, at least 1; the last one holds at least one chunk.

    n_frames, rate_hz: as the header says.  size_bytes: of the file.
    A header that promises what no file of that size can hold, or a rate outside the preset's limits, counts as one
    span: the one in which the recording is found unusable.
    """
    limits = preset.decode
    is_possible = 0 < n_frames <= size_bytes * MOST_FRAMES_PER_BYTE
    if not is_possible or not limits.lowest_rate_hz <= rate_hz <= limits.highest_rate_hz:
        return 1
    n_full, rest = divmod(n_samples(n_frames, rate_hz, preset), preset.span_samples)
    return max(1, n_full + (n_chunks(rest, n_full, preset) > 0))


def n_samples(n_frames: int, rate_hz: int, preset: Preset) -> int:
    """Samples at the preset's rate of so many frames at `rate_hz`, counted as librosa.resample counts."""
    if rate_hz == preset.decode.rate_hz:
        return n_frames
    return math.ceil(n_frames * (float(preset.decode.rate_hz) / rate_hz))


def n_chunks(length: int, span: int, preset: Preset) -> int:
    """How many chunks the span of that number has when it is `length` samples long.

    A last piece of `shortest_tail_s` or more is a chunk; so is a shorter one that is all the recording has.

    >>> from tasks.audio.preset import load_preset
    >>> preset = load_preset("birdclef2021")
    >>> [n_chunks(round(seconds * 32_000), 0, preset) for seconds in (1, 7.4, 7.5, 75)]
    [1, 1, 2, 15]
    """
    n_full, rest = divmod(length, preset.chunk_samples)
    is_all_there_is = span == 0 and n_full == 0
    is_chunk = rest > 0 and (is_all_there_is or rest >= preset.chunk.shortest_tail_s * preset.decode.rate_hz)
    return n_full + is_chunk


def chunks(samples: Samples, span: int, preset: Preset) -> Samples:
    """The chunks of a span, (n, chunk_samples) float32, the last one filled up with zeros.

    samples: (length,) float32, contiguous, the whole span and nothing else.
    Where nothing is to be filled up the chunks are the samples themselves, not a copy.
    """
    shape = n_chunks(len(samples), span, preset), preset.chunk_samples
    if math.prod(shape) <= len(samples):
        return samples[: math.prod(shape)].reshape(shape)
    cut = np.zeros(shape, np.float32)
    cut.reshape(-1)[: len(samples)] = samples
    return cut
