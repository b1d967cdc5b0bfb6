"""Scaling of shard columns to network inputs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from domain.errors import Impossible
from tasks.model.inputs import (
    RawBatch,
    Scaling,
    encode_metadata,
    feature_names,
    feature_width,
    fit_scaling,
    keras_arguments,
    prepare_inputs,
)


def raw(features: np.ndarray) -> RawBatch:
    return RawBatch(np.zeros((len(features), 48, 128), np.uint8), features.astype(np.float32))


def test_black_is_zero_and_white_is_one():
    pixels = np.zeros((1, 48, 128), np.uint8)
    pixels[0, 3, 5] = 255
    batch = prepare_inputs(RawBatch(pixels, np.zeros((1, 15), np.float32)), ["spectrogram"], Scaling())["spectrogram"]
    assert batch.shape == (1, 48, 128, 1)
    assert batch.dtype == np.float32
    assert batch[0, 3, 5, 0] == 1.0
    assert batch.sum() == 1.0


def test_features_are_standardised_as_in_scikit_learn_for_any_shard_sizes():
    draw = np.random.default_rng(5)
    features = draw.normal([3000, 0.1, -40], [800, 0.02, 12], (1000, 3))
    scaling = fit_scaling([features[:1], features[1:1], features[1:700], features[700:]])
    ours = prepare_inputs(raw(features), ["features"], scaling)["features"]
    np.testing.assert_allclose(ours, StandardScaler().fit_transform(features), atol=1e-4)


def test_a_constant_feature_becomes_zero():
    scaling = fit_scaling([np.full((10, 2), 0.1, np.float32), np.full((7, 2), 0.1, np.float32)])
    assert not prepare_inputs(raw(np.full((4, 2), 0.1)), ["features"], scaling)["features"].any()


def test_a_feature_that_is_not_finite_is_refused():
    with pytest.raises(Impossible, match="not a finite number"):
        fit_scaling([np.array([[1.0, np.nan]], np.float32)])


def test_one_input_is_given_bare_and_several_as_a_tuple():
    assert keras_arguments({"spectrogram": 1}) == 1
    assert keras_arguments({"spectrogram": 1, "features": 2}) == (1, 2)


METADATA = np.array([[52.5, 13.4, 1, 0], [-33.9, 151.2, 7, 12], [np.nan, np.nan, 12, np.nan]], np.float32)


def both(metadata: np.ndarray) -> RawBatch:
    n = len(metadata)
    return RawBatch(
        np.zeros((n, 2, 2), np.uint8), np.arange(15 * n, dtype=np.float32).reshape(n, 15), encode_metadata(metadata)
    )


def test_december_is_close_to_january_and_midnight_to_23_hours():
    def angle(month: float, hour: float) -> np.ndarray:
        return encode_metadata(np.array([[0, 0, month, hour]], np.float32))[0, 2:6]

    first = angle(1, 0)
    assert np.linalg.norm(angle(12, 23) - first) < np.linalg.norm(angle(4, 6) - first)
    np.testing.assert_allclose(np.linalg.norm(angle(12, 23)[:2]), 1, atol=1e-6)
    np.testing.assert_allclose(angle(4, 6), [1, 0, 1, 0], atol=1e-6)


@pytest.mark.parametrize(("features", "width"), [("audio", 15), ("metadata", 9), ("both", 24)])
def test_each_feature_set_has_its_width_and_names_and_the_audio_comes_first(features: str, width: int):
    raw = both(METADATA)
    chosen = raw.feature_columns(features)
    assert chosen.shape == (3, width) == (3, feature_width(15, features))
    assert len(feature_names(features)) == width
    if features == "both":
        np.testing.assert_array_equal(chosen[:, :15], raw.features)
        assert feature_names(features)[15:17] == ("latitude", "longitude")


def test_unknown_metadata_becomes_the_mean_and_is_flagged():
    raw = both(METADATA)
    scaling = fit_scaling([raw.feature_columns("both")[:1], raw.feature_columns("both")[1:]], "both")
    ours = prepare_inputs(raw, ["features"], scaling)["features"]
    known = METADATA[:2, 0]
    np.testing.assert_allclose(ours[:2, 15], (known - known.mean()) / known.std(), rtol=1e-5)
    assert ours[2, 15] == ours[2, 16] == 0
    assert ours[2, 21] < 0 < ours[0, 21]
    assert np.isfinite(ours).all()


def test_metadata_constant_in_training_is_always_zero():
    one_place = np.array([[52.5, 13.4, month, np.nan] for month in (1, 5, 9)], np.float32)
    scaling = fit_scaling([both(one_place).feature_columns("metadata")], "metadata")
    later = prepare_inputs(both(np.array([[-33, 151, 3, 12]], np.float32)), ["features"], scaling)["features"]
    assert not later[0, :2].any()
    assert not later[0, 4:].any()
    assert later[0, 2:4].all()


def test_constant_metadata_alone_is_refused():
    with pytest.raises(Impossible, match="do not differ in place or time"):
        fit_scaling([both(np.full((4, 4), np.nan, np.float32)).feature_columns("metadata")], "metadata")


def test_an_audio_feature_that_is_not_finite_is_refused_with_metadata_too():
    chosen = both(METADATA).feature_columns("both")
    chosen[1, 3] = np.nan
    with pytest.raises(Impossible, match="not a finite number"):
        fit_scaling([chosen], "both")
