"""Each compiled kernel matches its reference implementation."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.audio.fast import kernels
from tasks.audio.fast.compiled import compiled
from tasks.audio.features import reference_statistics
from tasks.audio.gating import triangle
from tasks.audio.preset import Preset
from tasks.audio.spectral import backward_gain, gate_mask, running_average, triangular_mean

DECAY = 0.99
N_BINS = 513


def _spectra(n_frames: int, seed: int = 1) -> np.ndarray:
    """Return real and imaginary parts over six orders of magnitude."""
    generator = np.random.default_rng(seed)
    levels = 10.0 ** generator.uniform(-6, 0, (n_frames, 1))
    return (levels * generator.standard_normal((2, n_frames, N_BINS))).astype(np.float32)


@pytest.mark.parametrize("n_frames", [1, 2, 65, 500])
@pytest.mark.parametrize(("begins_with_zeros", "n_after"), [(False, 0), (True, 0), (True, 1), (True, 300)])
def test_the_mask_matches_the_reference(n_frames: int, begins_with_zeros: bool, n_after: int, preset: Preset) -> None:
    re, im = _spectra(n_frames)
    magnitudes = np.hypot(re, im)
    state = np.zeros(N_BINS, np.float32) if begins_with_zeros else magnitudes[0].copy()
    cells = np.full_like(re, np.nan)
    kernels.average_forwards(re, im, np.float32(DECAY), state, cells)
    last = cells[-1] * np.float32(backward_gain(DECAY, n_after))
    sigmoid = np.float32(preset.denoise.slope), np.float32(preset.denoise.threshold)
    kernels.fill_mask((re, im), cells, np.float32(DECAY), last, sigmoid)
    average = running_average(magnitudes, DECAY, begins_with_zeros=begins_with_zeros, n_zero_frames_after=n_after)
    np.testing.assert_allclose(last, average[0], rtol=1e-4)
    np.testing.assert_allclose(cells, gate_mask(magnitudes, average, preset.denoise), atol=2e-4)


def test_the_running_average_does_not_depend_on_the_batches() -> None:
    re, im = _spectra(100)
    states, averages = np.zeros((2, N_BINS), np.float32), np.empty((2, 100, N_BINS), np.float32)
    kernels.average_forwards(re, im, np.float32(DECAY), states[0], averages[0])
    for rows in (slice(0, 33), slice(33, 100)):
        kernels.average_forwards(re[rows], im[rows], np.float32(DECAY), states[1], averages[1, rows])
    np.testing.assert_array_equal(averages[0], averages[1])


def test_the_mask_of_silence_is_zero_without_nan() -> None:
    zeros = np.zeros((2, 3, N_BINS), np.float32)
    cells = np.zeros((3, N_BINS), np.float32)
    kernels.fill_mask(zeros, cells, np.float32(DECAY), cells[0].copy(), (np.float32(10), np.float32(2)))
    assert cells.max() < 1e-12
    assert cells.min() >= 0


@pytest.mark.parametrize(("slope", "threshold"), [(0.01, 0.0), (10.0, 2.0), (100.0, 100.0)])
def test_the_sigmoid_matches_numpy_for_every_ratio_to_the_average(slope: float, threshold: float) -> None:
    heights = np.linspace(0, 200, 3 * N_BINS).reshape(3, N_BINS)
    re = heights.astype(np.float32)
    cells, state = np.ones_like(re), np.ones(N_BINS, np.float32)
    kernels.fill_mask(
        (re, np.zeros_like(re)), cells, np.float32(DECAY), state, (np.float32(slope), np.float32(threshold))
    )
    expected = 1 / (1 + np.exp(np.minimum(slope * (1 + threshold - heights), 80)))
    np.testing.assert_allclose(cells, expected, atol=2e-4 if slope > 10 else 1e-5)


@pytest.mark.parametrize("over_frames", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("over_bins", [0, 2, 8, 40])
def test_the_mask_is_smoothed_with_triangular_windows(over_frames: int, over_bins: int) -> None:
    weights = triangle(over_frames), triangle(over_bins)
    reach = len(weights[0]) - 1
    mask = np.random.default_rng(3).random((30 + 2 * reach, N_BINS)).astype(np.float32)
    out = np.empty((30, N_BINS), np.float32)
    kernels.smooth_mask(mask, *weights, out)
    rows = mask[reach - over_frames : len(mask) - (reach - over_frames)]
    beside = np.pad(rows, ((0, 0), (over_bins, over_bins)))
    np.testing.assert_allclose(out, triangular_mean(triangular_mean(beside, over_frames).T, over_bins).T, rtol=1e-5)


@pytest.mark.parametrize("reach", range(9))
def test_the_weights_of_a_triangle_sum_to_one(reach: int) -> None:
    weights = triangle(reach)
    assert weights[0] + 2 * weights[1:].sum() == pytest.approx(1)
    assert np.count_nonzero(weights) == reach + 1
    assert len(weights) % 3 == 1


def test_power_is_the_square_of_the_magnitude() -> None:
    re, im = _spectra(7)
    power = np.empty_like(re)
    kernels.fill_power(re, im, power)
    np.testing.assert_allclose(power, np.abs(re + 1j * im) ** 2, rtol=1e-5)


@pytest.mark.parametrize("floor", [1e-9, 1e-4, 1.0])
@pytest.mark.parametrize("level", [0.0, 1e-3, 1.0, 500.0])
def test_the_statistics_of_a_frame_match_the_reference(floor: float, level: float) -> None:
    re, im = np.float32(level) * _spectra(200, seed=2)
    power, statistics = np.empty_like(re), np.empty((200, 6))
    kernels.frame_statistics(re, im, np.float32(floor), power, statistics)
    magnitude = np.hypot(re.astype(np.float64), im) + floor
    expected = reference_statistics(magnitude)
    np.testing.assert_allclose(power, magnitude**2, rtol=1e-5)
    np.testing.assert_allclose(statistics[:, [0, 1, 2, 4]], expected[:, [0, 1, 2, 4]], rtol=1e-5)
    np.testing.assert_allclose(statistics[:, 5], expected[:, 5], rtol=1e-5, atol=N_BINS * 1e-7)
    assert (statistics[:, 3] == expected[:, 3]).mean() > 0.99  # a float32 sum may reach the share one bin later
    assert np.abs(statistics[:, 3] - expected[:, 3]).max() <= 1


@pytest.mark.parametrize(("n_samples", "n_frame", "hop"), [(160_000, 1024, 512), (5_000, 1024, 300), (2_000, 64, 64)])
def test_crossings_are_counted_frame_by_frame(n_samples: int, n_frame: int, hop: int) -> None:
    is_negative = np.random.default_rng(6).random(n_samples) < 0.5
    counts = np.full(1 + n_samples // hop, -1)
    kernels.count_crossings(is_negative.view(np.uint8), n_frame, hop, counts)
    padded = np.pad(is_negative, n_frame // 2, mode="edge")  # no sign changes outside the chunk
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_frame)[::hop][: len(counts)]
    np.testing.assert_array_equal(counts, (frames[:, 1:] != frames[:, :-1]).sum(axis=1))


def test_a_kernel_is_compiled_even_if_no_cache_folder_is_writable() -> None:
    names: dict[str, object] = {}
    exec("def twice(x):\n    return 2 * x", names)  # numba finds no source file, hence no cache folder
    twice = compiled(names["twice"])  # type: ignore[type-var]
    assert twice(21) == 42  # type: ignore[operator]
