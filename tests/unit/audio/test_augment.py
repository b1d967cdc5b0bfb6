"""Augmented copies differ from the recording and from each other, and are reproducible."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from tasks.audio.augment import augmented
from tasks.audio.preset import Preset
from tests.unit.audio.signals import song

DIGEST = "d" * 64
N = 160_000


def test_the_same_seed_gives_the_same_copy_and_another_seed_gives_another_copy(preset: Preset) -> None:
    chunk = song(N)
    seeds = [(DIGEST, 0, 1), (DIGEST, 0, 2), (DIGEST, 1, 1), ("e" * 64, 0, 1)]
    first, again = ([augmented(chunk, seed, preset) for seed in seeds] for _ in range(2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert len({copy.tobytes() for copy in first}) == len(seeds)


def test_another_pipeline_gives_another_copy(preset: Preset) -> None:
    other = replace(preset, mel=replace(preset.mel, n_mels=64))
    copies = [augmented(song(N), (DIGEST, 0, 1), each) for each in (preset, other)]
    assert not np.array_equal(*copies)


def test_the_global_random_generators_are_restored(preset: Preset) -> None:
    augmented(song(N), (DIGEST, 0, 1), preset)
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.rand()
    random.seed(5)
    np.random.seed(5)
    augmented(song(N), (DIGEST, 0, 2), preset)
    assert (random.random(), np.random.rand()) == expected


def test_the_state_of_the_global_generators_does_not_change_a_copy(preset: Preset) -> None:
    copies = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        copies.append(augmented(song(N), (DIGEST, 0, 3), preset))
    np.testing.assert_array_equal(*copies)


@pytest.mark.parametrize("copy", range(1, 9))
def test_a_copy_is_finite_and_as_long_as_its_chunk_and_the_chunk_is_not_changed(copy: int, preset: Preset) -> None:
    chunk = song(N)
    before = chunk.copy()
    changed = augmented(chunk, (DIGEST, 0, copy), preset)
    assert changed.shape == (N,)
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert not np.shares_memory(changed, chunk)
    np.testing.assert_array_equal(chunk, before)


def test_a_silent_chunk_stays_silent(preset: Preset) -> None:
    assert not augmented(np.zeros(N, np.float32), (DIGEST, 0, 1), preset).any()


def test_augmentation_of_strength_zero_leaves_the_samples_unchanged(preset: Preset) -> None:
    none = replace(
        preset.augment,
        gain_db=0.0,
        shift_s=0.0,
        mask_s=0.0,
        equaliser_db=0.0,
        lowest_snr_db=100.0,
        highest_snr_db=100.0,
    )
    chunk = song(N)
    for copy in range(1, 9):
        changed = augmented(chunk, (DIGEST, 0, copy), replace(preset, augment=none))
        np.testing.assert_allclose(changed, chunk, atol=1e-4)
