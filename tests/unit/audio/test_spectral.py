"""The reference implementation of spectral gating matches general functions of scipy and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import filtfilt

from tasks.audio.preset import Preset
from tasks.audio.spectral import gate_mask, running_average, triangular_mean

DECAY = 0.99


def _filtfilt(cells: np.ndarray) -> np.ndarray:
    return filtfilt([1 - DECAY], [1, -DECAY], cells, axis=0, padtype=None)


@pytest.mark.parametrize("n_frames", [1, 31, 32, 33, 500])
def test_the_running_average_matches_filtfilt(n_frames: int) -> None:
    cells = np.random.default_rng(1).random((n_frames, 5)).astype(np.float32)
    average = running_average(cells, DECAY, begins_with_zeros=False, n_zero_frames_after=0)
    np.testing.assert_allclose(average, _filtfilt(cells), rtol=1e-5)


@pytest.mark.parametrize("n_before", [0, 40])
@pytest.mark.parametrize("n_after", [0, 1, 2, 300])
def test_implied_frames_of_zeros_count_like_stored_ones(n_before: int, n_after: int) -> None:
    cells = np.random.default_rng(2).random((100, 5)).astype(np.float32)
    padded = np.pad(cells, ((n_before, n_after), (0, 0)))
    average = running_average(cells, DECAY, begins_with_zeros=n_before > 0, n_zero_frames_after=n_after)
    np.testing.assert_allclose(average, _filtfilt(padded)[n_before : n_before + 100], rtol=1e-5)


def test_the_mask_is_zero_at_the_average_and_one_far_above_it(preset: Preset) -> None:
    cells = np.array([[1.0, 3.0, 9.0]], np.float32)
    kept = gate_mask(cells, np.ones_like(cells), preset.denoise)
    np.testing.assert_allclose(kept, [[1 / (1 + np.exp(20)), 0.5, 1.0]], rtol=1e-5)


def test_the_mask_of_silence_is_zero_without_a_warning(preset: Preset) -> None:
    zeros = np.zeros((1, 3), np.float32)
    assert gate_mask(zeros, zeros, preset.denoise).max() < 1e-12


@pytest.mark.parametrize("reach", [0, 1, 6, 8])
def test_the_triangular_mean_is_a_convolution_with_a_triangle(reach: int) -> None:
    cells = np.random.default_rng(3).random((60, 4)).astype(np.float32)
    rise = np.arange(1, reach + 2) / (reach + 1) ** 2
    weights = np.concatenate([rise, rise[-2::-1]])
    expected = np.stack([np.convolve(column, weights, "valid") for column in cells.T], axis=1)
    np.testing.assert_allclose(triangular_mean(cells, reach), expected, rtol=1e-5)
