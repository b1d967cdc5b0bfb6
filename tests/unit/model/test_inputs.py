"""Columns of a shard as numbers of order one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from tasks.failures import Impossible
from tasks.model.inputs import RawBatch, Scaling, as_keras_takes, measured_scaling, prepared


def raw(features: np.ndarray) -> RawBatch:
    return RawBatch(np.zeros((len(features), 48, 128), np.uint8), features.astype(np.float32))


def test_black_is_zero_and_white_is_one():
    pixels = np.zeros((1, 48, 128), np.uint8)
    pixels[0, 3, 5] = 255
    batch = prepared(RawBatch(pixels, np.zeros((1, 15), np.float32)), ["spectrogram"], Scaling())["spectrogram"]
    assert batch.shape == (1, 48, 128, 1)
    assert batch.dtype == np.float32
    assert batch[0, 3, 5, 0] == 1.0
    assert batch.sum() == 1.0


def test_features_are_standardised_as_scikit_learn_does_however_the_shards_are_cut():
    draw = np.random.default_rng(5)
    features = draw.normal([3000, 0.1, -40], [800, 0.02, 12], (1000, 3))
    scaling = measured_scaling([features[:1], features[1:1], features[1:700], features[700:]])
    ours = prepared(raw(features), ["features"], scaling)["features"]
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(features), atol=1e-4)


def test_a_feature_that_never_changes_becomes_zero():
    scaling = measured_scaling([np.full((10, 2), 0.1, np.float32), np.full((7, 2), 0.1, np.float32)])
    assert not prepared(raw(np.full((4, 2), 0.1)), ["features"], scaling)["features"].any()


def test_a_feature_that_is_not_a_number_stops_the_training():
    with pytest.raises(Impossible, match="not a finite number"):
        measured_scaling([np.array([[1.0, np.nan]], np.float32)])


def test_one_input_is_given_bare_and_several_as_a_tuple():
    assert as_keras_takes({"spectrogram": 1}) == 1
    assert as_keras_takes({"spectrogram": 1, "features": 2}) == (1, 2)
