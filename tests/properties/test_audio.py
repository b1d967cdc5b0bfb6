"""Properties of chunking, denoising, strips and presets for random input."""

from __future__ import annotations

import warnings
from dataclasses import replace

import noisereduce
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.audio.chunk import chunks, n_chunks, n_spans
from tasks.audio.denoise import denoise
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import Passage
from tasks.audio.strip import Strip, StripError, decode_strip, encode

BUILT_IN = load_preset("birdclef2021")
# 8 kHz and chunks of half a second: the same rules on shorter arrays.
SMALL = replace(
    BUILT_IN,
    decode=replace(BUILT_IN.decode, rate_hz=8_000, span_s=2),
    denoise=replace(BUILT_IN.denoise, method="none"),
    chunk=replace(BUILT_IN.chunk, duration_s=0.5, shortest_tail_s=0.2),
    mel=replace(BUILT_IN.mel, fmax_hz=4_000.0),
)


@given(n=st.integers(1, 60_000))
def test_the_chunks_of_all_spans_cover_the_recording_without_overlap(n: int) -> None:
    samples = np.arange(1, n + 1, dtype=np.float32)
    count = n_spans(n, 8_000, 1 << 40, SMALL)
    length = SMALL.span_samples
    pieces = [chunks(samples[span * length : (span + 1) * length], span, SMALL) for span in range(count)]
    assert all(len(piece) for piece in pieces)
    tiled = np.concatenate(pieces).reshape(-1)
    n_kept = min(n, len(tiled))
    np.testing.assert_array_equal(tiled[:n_kept], samples[:n_kept])
    assert not tiled[n_kept:].any()
    assert n - n_kept < 0.2 * 8_000


@given(n=st.integers(1, 10**7), span=st.integers(1, 5))
def test_a_span_has_at_most_as_many_chunks_as_its_samples_begin(n: int, span: int) -> None:
    assert n_chunks(n, span, BUILT_IN) <= n_chunks(n, 0, BUILT_IN) <= -(-n // BUILT_IN.chunk_samples)


@given(
    n_frames=st.integers(-(2**63), 2**63 - 1),
    rate_hz=st.integers(-(2**31), 2**31 - 1),
    size_bytes=st.integers(0, 10**9),
)
def test_no_header_gives_more_spans_than_its_file_can_contain(n_frames: int, rate_hz: int, size_bytes: int) -> None:
    count = n_spans(n_frames, rate_hz, size_bytes, BUILT_IN)
    assert 1 <= count <= 2 + size_bytes * 8_192 // (75 * BUILT_IN.decode.lowest_rate_hz)


@given(
    pictures=arrays(np.uint8, st.tuples(st.integers(1, 4), st.just(8), st.just(16))),
    seed=st.integers(0, 2**32 - 1),
    span=st.integers(0, 10**6),
    copy=st.integers(0, 99),
)
@settings(max_examples=settings().max_examples // 2, deadline=None)
def test_decoding_an_encoded_strip_gives_the_same_strip(pictures: np.ndarray, seed: int, span: int, copy: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((len(pictures), 15)).astype(np.float32) * 10.0 ** (
        seed % 20 - 10
    )
    rows = rows.astype(np.float32)
    strip = Strip(
        np.concatenate(list(pictures), axis=1),
        rows,
        "a" * 64,
        span,
        copy,
        "b" * 64,
        {"numpy": "2"},
        tuple(range(len(rows))),
    )
    again = decode_strip(encode(strip))
    np.testing.assert_array_equal(again.spectrograms, pictures)
    np.testing.assert_array_equal(again.features, rows)
    assert (again.span, again.copy) == (span, copy)


@given(
    n=st.integers(1, 40_000),
    seed=st.integers(0, 2**32 - 1),
    level_db=st.integers(-80, 0),
    silent=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@settings(max_examples=settings().max_examples // 4, deadline=None)
def test_the_denoiser_matches_noisereduce_for_random_noise(
    n: int, seed: int, level_db: int, silent: tuple[float, float]
) -> None:
    generator = np.random.default_rng(seed)
    samples = np.clip(10 ** (level_db / 20) * generator.standard_normal(n), -1, 1).astype(np.float32)
    samples[round(min(silent) * n) : round(max(silent) * n)] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # silence divides by zero in the library
        expected = np.nan_to_num(noisereduce.reduce_noise(y=samples, sr=BUILT_IN.decode.rate_hz))
    np.testing.assert_allclose(denoise(Passage(samples, 0, n), BUILT_IN), expected, atol=1e-5)


@given(data=st.binary(max_size=400), keep=st.integers(0, 60))
@settings(deadline=None)
def test_random_bytes_are_refused_as_a_strip(data: bytes, keep: int) -> None:
    head = encode(Strip(np.zeros((8, 16), np.uint8), np.zeros((1, 15), np.float32), "a", 0, 0, "b", {}, (0,)))[:keep]
    try:
        decode_strip(head + data)
    except StripError:
        return
    raise AssertionError("random bytes were accepted as a strip")


@given(n_mels=st.integers(8, 128), top_db=st.floats(1, 200), copies=st.integers(0, 9))
def test_a_preset_equals_the_one_rebuilt_from_its_dictionary(n_mels: int, top_db: float, copies: int) -> None:
    preset = replace(
        BUILT_IN,
        mel=replace(BUILT_IN.mel, n_mels=n_mels, top_db=top_db),
        augment=replace(BUILT_IN.augment, copies=copies),
    )
    assert Preset.from_dict(preset.as_dict()) == preset
