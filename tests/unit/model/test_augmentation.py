"""Augmentation changes spectrograms as specified and within its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.inputs import RawBatch
from tasks.model.spec import TrainingSettings
from tasks.model.training.augmentation import Target, augmented, equalised, masked, mixed, shifted, transposed

N_MELS, N_FRAMES = 8, 20


@pytest.fixture
def draw():
    return np.random.default_rng(0)


@pytest.fixture
def spectrograms(draw):
    return draw.integers(0, 256, (16, N_MELS, N_FRAMES), dtype=np.uint8)


@pytest.fixture
def batch(spectrograms, draw):
    raw = RawBatch(spectrograms, draw.normal(size=(16, 15)).astype(np.float32))
    return raw, Target(np.eye(4, dtype=np.float32)[np.arange(16) % 4], np.ones(16, np.float32))


def test_no_augmentation_returns_the_batch_unchanged(batch, draw):
    raw, target = augmented(*batch, TrainingSettings(), draw)
    assert raw.spectrograms is batch[0].spectrograms
    assert target is batch[1]


def test_a_shift_rolls_along_time_within_its_limit(spectrograms, draw):
    rolls = set()
    for spectrogram, moved in zip(spectrograms, shifted(spectrograms, 0.2, draw), strict=True):
        by = [offset for offset in range(-10, 11) if (np.roll(spectrogram, offset, axis=1) == moved).all()]
        assert len(by) == 1
        rolls.update(by)
    assert len(rolls) > 3
    assert max(map(abs, rolls)) <= 4


def test_a_stretch_changes_the_tempo_within_its_limit(draw):
    n_frames, limit = 200, 0.25
    ramp = np.broadcast_to(np.arange(n_frames, dtype=np.uint8), (32, 1, n_frames))
    gone = [int(row[100]) for row in shifted(ramp, 0.0, draw, stretch=limit)[:, 0]]
    assert min(gone) >= 100 / (1 + limit) - 1
    assert max(gone) <= 100 * (1 + limit)
    assert min(gone) < 95 < 105 < max(gone)


def test_a_spectrogram_that_becomes_too_short_is_repeated(draw):
    ramp = np.broadcast_to(np.arange(20, dtype=np.uint8), (64, 1, 20))
    last = shifted(ramp, 0.0, draw, stretch=0.5)[:, 0, -1]
    assert any(value < 10 for value in last)


def test_a_mel_shift_moves_by_whole_bands_and_repeats_the_edge_band(spectrograms, draw):
    moves = set()
    for spectrogram, moved in zip(spectrograms, transposed(spectrograms, 0.25, draw), strict=True):
        rows = np.arange(N_MELS)
        by = [m for m in range(-2, 3) if (spectrogram[np.clip(rows - m, 0, N_MELS - 1)] == moved).all()]
        assert len(by) == 1
        moves.update(by)
    assert moves == {-2, -1, 0, 1, 2}


def test_a_band_gain_changes_each_band_by_one_level_within_its_limit(draw):
    grey = np.full((16, N_MELS, N_FRAMES), 128, np.uint8)
    changed = equalised(grey, 0.1, draw).astype(int) - 128
    assert (changed == changed[:, :, :1]).all()
    assert np.abs(changed).max() <= 0.1 * 255
    assert len(np.unique(changed)) > 10


def test_a_band_gain_keeps_levels_in_range(draw):
    for level in (0, 255):
        changed = equalised(np.full((8, N_MELS, N_FRAMES), level, np.uint8), 0.5, draw)
        assert changed.dtype == np.uint8
        assert np.abs(changed.astype(int) - level).max() <= 128


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mask_replaces_whole_lines_with_the_mean(spectrograms, axis, draw):
    limit = 0.25
    changed = masked(spectrograms, axis, limit, draw)
    limit = 2 * round(limit * spectrograms.shape[axis])
    hidden_lines = []
    for spectrogram, seen in zip(spectrograms, changed, strict=True):
        lines = np.flatnonzero((spectrogram != seen).any(axis=2 - axis))
        hidden = seen.take(lines, axis=axis - 1)
        assert (hidden == int(spectrogram.mean())).all()
        assert len(lines) <= limit
        hidden_lines.append(len(lines))
    assert max(hidden_lines) > 0


def test_mixup_mixes_spectrograms_features_and_targets_in_one_proportion(batch, draw):
    before, wanted = batch
    raw, target = mixed(before, wanted, 0.4, draw)
    for at in range(16):
        other, share = partner(before.features, at, raw.features[at])
        for one, mixture, tolerance in (
            (before.spectrograms, raw.spectrograms, 0.1),
            (wanted.classes, target.classes, 1e-3),
        ):
            np.testing.assert_allclose(mixture[at], share * one[at] + (1 - share) * one[other], atol=tolerance)
    np.testing.assert_allclose(target.classes.sum(axis=1), 1, atol=1e-6)
    assert ((target.classes > 0) & (target.classes < 1)).any()


def partner(features, at, seen):
    """Return the row that was mixed with row `at`, and the share of row `at`, by least error."""
    shares = [share_of(seen, features[at], other) for other in features]
    errors = [
        np.abs(seen - share * features[at] - (1 - share) * other).max()
        for share, other in zip(shares, features, strict=True)
    ]
    return int(np.argmin(errors)), shares[int(np.argmin(errors))]


def share_of(seen, one, other):
    """Return the share of `one` that explains `seen` best; 1 if both are equal."""
    difference = one - other
    return 1.0 if not difference.any() else float((seen - other) @ difference / (difference @ difference))


@given(st.integers(0, 2**32 - 1))
def test_the_same_draw_gives_the_same_batch(seed):
    spectrograms = np.arange(4 * N_MELS * N_FRAMES, dtype=np.uint8).reshape(4, N_MELS, N_FRAMES)
    raw = RawBatch(spectrograms, np.zeros((4, 15), np.float32))
    target = Target(np.eye(4, dtype=np.float32), np.ones(4, np.float32))
    settings = TrainingSettings(shift=0.5, time_mask=0.2, mel_mask=0.2, mixup=0.3)
    one, again = (augmented(raw, target, settings, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one[0].spectrograms, again[0].spectrograms)
    np.testing.assert_array_equal(one[1].classes, again[1].classes)
    assert 0 <= one[0].spectrograms.min() <= one[0].spectrograms.max() <= 255.001  # rounding
