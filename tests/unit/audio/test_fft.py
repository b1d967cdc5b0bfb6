"""Short-time spectra and their inverse match scipy, for the compiled length and for others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from tasks.audio.stft import add_frames, fill_spectra

LENGTHS = [1024, 512, 2048]


def _hann(n_fft: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)


def _frames(n_frames: int, n_fft: int) -> np.ndarray:
    samples = np.random.default_rng(4).standard_normal((n_frames - 1) * n_fft // 4 + n_fft)
    return np.lib.stride_tricks.sliding_window_view(samples, n_fft)[:: n_fft // 4]


def _samples(frames: np.ndarray) -> np.ndarray:
    """Return the samples that the overlapping frames are a view of."""
    return np.concatenate([frames[:-1, : frames.shape[1] // 4].reshape(-1), frames[-1]]).astype(np.float32)


@pytest.mark.parametrize("n_fft", LENGTHS)
@pytest.mark.parametrize("n_frames", [1, 2, 150])
def test_spectra_match_scipy(n_fft: int, n_frames: int) -> None:
    frames = _frames(n_frames, n_fft)
    re, im = np.full((2, n_frames, n_fft // 2 + 1), np.nan, np.float32)
    fill_spectra(_samples(frames), n_fft // 4, re, im)
    expected = scipy.fft.rfft(frames * _hann(n_fft))
    np.testing.assert_allclose(re + 1j * im, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("n_fft", LENGTHS)
@pytest.mark.parametrize("at", [0, 1, 3, 8, 64, 100, 511])
def test_the_spectrum_of_an_impulse_is_flat_with_linear_phase(n_fft: int, at: int) -> None:
    samples = np.zeros(n_fft, np.float32)
    samples[at] = 1
    re, im = np.empty((2, 1, n_fft // 2 + 1), np.float32)
    fill_spectra(samples, n_fft // 4, re, im)
    phases = np.exp(-2j * np.pi * at * np.arange(n_fft // 2 + 1) / n_fft)
    np.testing.assert_allclose((re + 1j * im)[0], _hann(n_fft)[at] * phases, atol=1e-6)


@pytest.mark.parametrize("n_fft", LENGTHS)
def test_inverse_frames_of_masked_spectra_match_scipy_and_are_added(n_fft: int) -> None:
    generator, shape = np.random.default_rng(5), (40, n_fft // 2 + 1)
    re, im = generator.standard_normal((2, *shape)).astype(np.float32)
    mask = generator.random(shape).astype(np.float32)
    expected = np.ones(39 * n_fft // 4 + n_fft)
    for row, frame in enumerate(scipy.fft.irfft((re + 1j * im) * mask) * _hann(n_fft)):
        expected[row * n_fft // 4 :][:n_fft] += frame
    out = np.ones(len(expected), np.float32)
    add_frames(re, im, mask, out)
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("n_fft", LENGTHS)
def test_transform_and_inverse_scale_the_samples_by_one_and_a_half(n_fft: int) -> None:
    samples = _samples(_frames(12, n_fft))
    re, im = np.empty((2, 12, n_fft // 2 + 1), np.float32)
    fill_spectra(samples, n_fft // 4, re, im)
    back = np.zeros_like(samples)
    add_frames(re, im, np.ones_like(re), back)
    inside = slice(n_fft, -n_fft)
    np.testing.assert_allclose(back[inside], 1.5 * samples[inside], atol=1e-5)
