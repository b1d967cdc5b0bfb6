"""Predictions from bundles and shards."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.model.bundle.bundle import Bundle, BundleFacts
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.prediction import predictions
from tasks.model.spec import TrainingSettings
from tasks.model.zoo import entry
from tests.model_shards import PIPELINE, examples, written


@pytest.fixture(scope="module")
def bundle():
    keras.utils.set_random_seed(4)
    facts = BundleFacts("cnn", ("a", "b"), {}, PIPELINE, Scaling(), TrainingSettings(), split_digest="d" * 64)
    return Bundle(entry("cnn").build(InputShapes(), 2), facts)


@pytest.fixture
def shards(tmp_path):
    return written(tmp_path, examples(25), size=10)


def test_every_example_is_predicted_once_in_order_with_its_truth(bundle, shards):
    blocks = list(predictions(bundle, shards, batch_size=4))
    assert [len(block.truth) for block in blocks] == [4, 4, 2, 4, 4, 2, 4, 1]
    rows = examples(25)
    assert [name for block in blocks for name in block.recordings] == [row.recording for row in rows]
    assert [name for block in blocks for name in block.groups] == [row.group for row in rows]
    assert [name for block in blocks for name in block.digests] == [row.digest for row in rows]
    assert np.concatenate([block.truth for block in blocks]).tolist() == [row.label for row in rows]


def test_probabilities_do_not_depend_on_the_batch_size(bundle, shards):
    pixels = np.stack([row.spectrogram for row in examples(25)])[..., np.newaxis] / np.float32(255)
    expected = bundle.model.predict_on_batch(pixels)
    for batch_size in (3, 256):
        found = np.concatenate([block.probabilities for block in predictions(bundle, shards, batch_size)])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_shards_of_another_pipeline_are_refused_before_the_first_prediction(bundle, shards, tmp_path):
    other = written(tmp_path, examples(4), "other", pipeline="c" * 64)
    with pytest.raises(Impossible, match=r"other-0\.parquet was made by pipeline c+"):
        next(predictions(bundle, [*shards, *other]))


def test_augmented_copies_are_not_evaluated(bundle, tmp_path):
    rows = [replace(row, copy=number % 3) for number, row in enumerate(examples(12))]
    (answer,) = predictions(bundle, written(tmp_path, rows, "copies"))
    assert list(answer.recordings) == [row.recording for row in rows if row.copy == 0]
    assert answer.truth.tolist() == [row.label for row in rows if row.copy == 0]


def test_no_shards_give_no_predictions(bundle):
    assert list(predictions(bundle, [])) == []
