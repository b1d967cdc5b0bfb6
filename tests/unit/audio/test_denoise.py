"""The denoiser matches noisereduce for every kind of sound and at every block boundary."""

from __future__ import annotations

from dataclasses import replace

import noisereduce
import numpy as np
import pytest

from tasks.audio.denoise import denoise
from tasks.audio.preset import Preset
from tasks.audio.recording import Passage
from tests.unit.audio.signals import RATE_HZ, SIGNALS, noisereduced, song


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("n", [3_200, 160_000, 159_999])
def test_denoised_samples_match_noisereduce(kind: str, n: int, preset: Preset) -> None:
    samples = SIGNALS[kind](n)
    denoised = denoise(Passage(samples, 0, n), preset)
    assert denoised.dtype == np.float32
    np.testing.assert_allclose(denoised, noisereduced(samples), atol=1e-5)


@pytest.mark.parametrize("n", [599_999, 600_000, 600_001, 630_000, 1_200_001])
def test_blocks_end_where_noisereduce_ends_them(n: int, preset: Preset) -> None:
    samples = song(n)
    np.testing.assert_allclose(denoise(Passage(samples, 0, n), preset), noisereduced(samples), atol=1e-5)


def test_a_span_with_its_context_matches_that_part_of_the_whole_recording(preset: Preset) -> None:
    samples = song(40 * RATE_HZ)
    whole = denoise(Passage(samples, 0, len(samples)), preset)
    start, stop, context = 600_000, 1_200_000, preset.denoise.context_samples
    piece = denoise(Passage(samples[start - context : stop + context], context, context + stop - start), preset)
    np.testing.assert_allclose(piece, whole[start:stop], atol=1e-7)


def test_a_span_without_its_context_differs_from_that_part_of_the_whole_recording(preset: Preset) -> None:
    samples = song(40 * RATE_HZ)
    whole = denoise(Passage(samples, 0, len(samples)), preset)
    piece = denoise(Passage(samples[600_000:], 0, 600_000), preset)
    assert np.abs(piece - whole[600_000:1_200_000]).max() > 1e-3


def test_silence_stays_silence(preset: Preset) -> None:
    assert not denoise(Passage(np.zeros(50_000, np.float32), 0, 50_000), preset).any()


def test_a_silent_block_beside_a_loud_one_is_silent(preset: Preset) -> None:
    samples = song(1_300_000)
    samples[560_000:] = 0
    np.testing.assert_allclose(denoise(Passage(samples, 0, len(samples)), preset), noisereduced(samples), atol=1e-5)


def test_steady_noise_is_attenuated_more_than_a_louder_song(preset: Preset) -> None:
    samples = song(10 * RATE_HZ)
    denoised = denoise(Passage(samples, 0, len(samples)), preset)
    is_song = np.sin(np.arange(len(samples)) / RATE_HZ * 7) > 0.3
    is_hiss = np.sin(np.arange(len(samples)) / RATE_HZ * 7) < -0.3
    kept = [denoised[part].std() / samples[part].std() for part in (is_song, is_hiss)]
    assert kept[0] > 5 * kept[1]


def test_the_input_is_not_changed(preset: Preset) -> None:
    samples = song(50_000)
    before = samples.copy()
    denoise(Passage(samples, 0, len(samples)), preset)
    np.testing.assert_array_equal(samples, before)


def test_the_method_none_returns_the_span_unchanged(preset: Preset) -> None:
    plain = replace(preset, denoise=replace(preset.denoise, method="none"))
    samples = song(50_000)
    np.testing.assert_array_equal(denoise(Passage(samples, 1_000, 40_000), plain), samples[1_000:40_000])


def test_the_method_stationary_matches_noisereduce(preset: Preset) -> None:
    steady = replace(preset, denoise=replace(preset.denoise, method="stationary"))
    samples = song(100_000)
    expected = noisereduce.reduce_noise(y=samples, sr=RATE_HZ, stationary=True)
    np.testing.assert_array_equal(denoise(Passage(samples, 0, len(samples)), steady), expected)


@pytest.mark.parametrize("smooth", [(70.0, 50.0), (500.0, 16.0), (1_000.0, 120.0)])
def test_other_smoothing_settings_match_noisereduce(smooth: tuple[float, float], preset: Preset) -> None:
    smooth_hz, smooth_ms = smooth
    other = replace(
        preset,
        denoise=replace(preset.denoise, smooth_hz=smooth_hz, smooth_ms=smooth_ms, n_fft=2048, time_constant_s=0.5),
    )
    samples = song(100_000)
    expected = noisereduce.reduce_noise(
        y=samples, sr=RATE_HZ, n_fft=2048, time_constant_s=0.5,
        freq_mask_smooth_hz=smooth_hz, time_mask_smooth_ms=smooth_ms,
    )  # fmt: skip
    np.testing.assert_allclose(denoise(Passage(samples, 0, len(samples)), other), expected, atol=1e-5)
