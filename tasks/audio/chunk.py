"""Divides a recording into spans (units of work), and a span into chunks (units of classification)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tasks.audio.containers.measure import MOST_FRAMES_PER_BYTE
from tasks.audio.preset import Preset

Samples = npt.NDArray[np.float32]


def n_spans(n_frames: int, rate_hz: int, size_bytes: int, preset: Preset) -> int:
    """Return the number of spans of a recording, >= 1. The last span has at least one chunk.

    n_frames, rate_hz: from the header, any integers.  size_bytes: file size, >= 0.
    Returns 1 if no file of this size can have so many frames, or if the rate is outside the preset's limits: decoding
    that one span then reports why the recording is unusable.

    >>> from tasks.audio.preset import load_preset
    >>> preset = load_preset("birdclef2021")
    >>> [n_spans(seconds * 44_100, 44_100, 10**9, preset) for seconds in (1, 75, 160)]
    [1, 1, 3]
    """
    limits = preset.decode
    is_possible = 0 < n_frames <= size_bytes * MOST_FRAMES_PER_BYTE
    if not is_possible or not limits.lowest_rate_hz <= rate_hz <= limits.highest_rate_hz:
        return 1
    n_full, rest = divmod(n_samples(n_frames, rate_hz, preset), preset.span_samples)
    return max(1, n_full + (n_chunks(rest, n_full, preset) > 0))


def n_samples(n_frames: int, rate_hz: int, preset: Preset) -> int:
    """Return the number of samples at the preset's rate after resampling `n_frames` frames from `rate_hz`, > 0.

    Rounds up, as librosa.resample does.
    """
    if rate_hz == preset.decode.rate_hz:
        return n_frames
    return math.ceil(n_frames * (float(preset.decode.rate_hz) / rate_hz))


def n_chunks(length: int, span: int, preset: Preset) -> int:
    """Return the number of chunks of a span with `length` samples, >= 0.

    length: at the preset's rate, >= 0.  span: the span's number, from 0.
    A tail of at least `shortest_tail_s` becomes a chunk. A shorter tail is dropped, unless it is the whole recording.

    >>> from tasks.audio.preset import load_preset
    >>> preset = load_preset("birdclef2021")
    >>> [n_chunks(round(seconds * 32_000), 0, preset) for seconds in (1, 7.4, 7.5, 75)]
    [1, 1, 2, 15]
    """
    n_full, rest = divmod(length, preset.chunk_samples)
    is_whole_recording = span == 0 and n_full == 0
    is_chunk = rest > 0 and (is_whole_recording or rest >= preset.chunk.shortest_tail_s * preset.decode.rate_hz)
    return n_full + is_chunk


def chunks(samples: Samples, span: int, preset: Preset) -> Samples:
    """Return the chunks of a span, (n, chunk_samples) float32; zeros pad the last one.

    samples: (length,) float32, contiguous, exactly the span.
    Returns a view of `samples` if no padding is needed.
    """
    shape = n_chunks(len(samples), span, preset), preset.chunk_samples
    if math.prod(shape) <= len(samples):
        return samples[: math.prod(shape)].reshape(shape)
    cut = np.zeros(shape, np.float32)
    cut.reshape(-1)[: len(samples)] = samples
    return cut
