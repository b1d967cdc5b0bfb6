"""The passes of spectral gating agree with scipy's general ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import filtfilt

from tasks.audio.preset import Preset
from tasks.audio.spectral import cells_kept, running_average, triangles

DECAY = 0.99


def _both_ways(cells: np.ndarray) -> np.ndarray:
    return filtfilt([1 - DECAY], [1, -DECAY], cells, axis=0, padtype=None)


@pytest.mark.parametrize("n_frames", [1, 31, 32, 33, 500])
def test_the_running_average_is_a_filter_run_forwards_and_backwards(n_frames: int) -> None:
    cells = np.random.default_rng(1).random((n_frames, 5)).astype(np.float32)
    average = running_average(cells, DECAY, begins_with_zeros=False, n_zero_frames_after=0)
    np.testing.assert_allclose(average, _both_ways(cells), rtol=1e-5)


@pytest.mark.parametrize("n_before", [0, 40])
@pytest.mark.parametrize("n_after", [0, 1, 2, 300])
def test_frames_of_zeros_need_not_be_stored(n_before: int, n_after: int) -> None:
    cells = np.random.default_rng(2).random((100, 5)).astype(np.float32)
    padded = np.pad(cells, ((n_before, n_after), (0, 0)))
    average = running_average(cells, DECAY, begins_with_zeros=n_before > 0, n_zero_frames_after=n_after)
    np.testing.assert_allclose(average, _both_ways(padded)[n_before : n_before + 100], rtol=1e-5)


def test_a_cell_at_its_own_average_is_closed_and_one_far_above_it_is_open(preset: Preset) -> None:
    cells = np.array([[1.0, 3.0, 9.0]], np.float32)
    kept = cells_kept(cells, np.ones_like(cells), preset.denoise)
    np.testing.assert_allclose(kept, [[1 / (1 + np.exp(20)), 0.5, 1.0]], rtol=1e-5)


def test_a_cell_of_silence_is_closed_without_a_warning(preset: Preset) -> None:
    zeros = np.zeros((1, 3), np.float32)
    assert cells_kept(zeros, zeros, preset.denoise).max() < 1e-12


@pytest.mark.parametrize("reach", [0, 1, 6, 8])
def test_triangles_are_a_convolution_with_a_triangle(reach: int) -> None:
    cells = np.random.default_rng(3).random((60, 4)).astype(np.float32)
    rise = np.arange(1, reach + 2) / (reach + 1) ** 2
    weights = np.concatenate([rise, rise[-2::-1]])
    expected = np.stack([np.convolve(column, weights, "valid") for column in cells.T], axis=1)
    np.testing.assert_allclose(triangles(cells, reach), expected, rtol=1e-5)
