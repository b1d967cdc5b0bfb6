"""Synthetic examples are learnt from where that makes sense, and judge nothing."""

from __future__ import annotations

import time
import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.dataset.shards.shard import ShardError, read_shard, shard_facts, shards
from tasks.model import synthesis
from tasks.model.bundle.bundle import Bundle, BundleFacts
from tasks.model.embedding import seen_by, vectors_of
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.networks.gan import NOISE
from tasks.model.prediction import predictions
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.synthesis import grey_levels, synthetic_examples
from tasks.model.training.classifier import train
from tests.model_shards import PIPELINE, example, examples, written

SETTINGS = TrainingSettings(epochs=1, batch=8)


@pytest.fixture(scope="module")
def generator():
    """Paints the class as a level and the noise as a texture: quick to build, nothing learnt."""
    noise, classes = keras.Input((NOISE,), name="noise"), keras.Input((3,), name="class")
    both = keras.layers.Concatenate()([noise, classes])
    pixels = keras.layers.Dense(48 * 128, activation="sigmoid")(both)
    return keras.Model([noise, classes], keras.layers.Reshape((48, 128, 1))(pixels))


def painted(n):
    return [replace(row, synthetic=True, features=np.full(15, np.nan, np.float32)) for row in examples(n)]


def pooled(name="pooled"):
    picture = keras.Input((48, 128, 1), name="spectrogram")
    filters = keras.layers.Conv2D(4, 3, name="filters")(picture)
    classes = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(filters))
    return keras.Model(picture, classes, name=name)


def bundle_of(model):
    facts = BundleFacts("cnn", ("a", "b"), {}, PIPELINE, Scaling(), SETTINGS, split_digest="d" * 64)
    return Bundle(model, facts)


def test_there_are_as_many_of_each_class_as_real_ones_and_never_more_than_the_limit(generator, monkeypatch):
    monkeypatch.setattr(synthesis, "MOST_A_CLASS", 4)
    made = list(synthetic_examples(generator, {2: 3, 0: 90}, InputShapes(), 0))
    assert sorted(each.label for each in made) == [0] * 4 + [2] * 3
    assert len({each.recording for each in made}) == len({each.digest for each in made}) == 7


def test_the_same_seed_paints_the_same_examples_and_another_seed_others(generator):
    one, again, other = (
        [each.digest for each in synthetic_examples(generator, {0: 70, 1: 3}, InputShapes(), seed)]
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_pictures_use_all_of_the_grey_levels_as_those_of_a_preset_do():
    pictures = np.stack([np.linspace(0.2, 0.6, 6).reshape(2, 3), np.full((2, 3), 0.5)])
    assert grey_levels(pictures).tolist() == [[[0, 51, 102], [153, 204, 255]], [[128] * 3] * 2]


def test_a_shard_says_in_its_footer_that_it_is_synthetic_and_real_ones_keep_their_bytes(tmp_path):
    (path,) = written(tmp_path, painted(4))
    assert shard_facts(path).is_synthetic
    assert read_shard(path).synthetic.all()
    (real,) = shards(examples(4), "b" * 64, PIPELINE)
    assert not shard_facts(real).is_synthetic
    assert b'"synthetic":' not in real


def test_real_and_synthetic_examples_are_not_written_into_one_shard():
    with pytest.raises(ShardError, match="shards of their own"):
        list(shards([*painted(2), *examples(2)], "b" * 64, PIPELINE))


def test_synthetic_examples_cannot_be_judged_on(tmp_path):
    with pytest.raises(Impossible, match="only judged on real ones"):
        next(predictions(bundle_of(pooled()), written(tmp_path, painted(4))))


def test_synthetic_examples_cannot_validate(tmp_path):
    spec = TrainingSpec(
        "cnn", ("a", "b"), written(tmp_path, examples(16)), written(tmp_path, painted(8), "v"), SETTINGS
    )
    with pytest.raises(Impossible, match="8 synthetic examples stand on the validation side"):
        train(spec, lambda epoch, figures: None, time.perf_counter)


@pytest.mark.parametrize("name", ["mlp", "cnn_mlp"])
def test_a_network_that_reads_features_refuses_synthetic_examples(name, tmp_path):
    learnt = (*written(tmp_path, examples(16)), *written(tmp_path, painted(8), "painted"))
    with pytest.raises(Impossible, match=rf"{name} reads features, and 8 synthetic examples have none"):
        train(TrainingSpec(name, ("a", "b"), learnt, (), SETTINGS), lambda epoch, figures: None, time.perf_counter)


def test_an_embedding_is_the_mean_of_each_filter_over_the_picture(tmp_path):
    model = pooled()
    copied = replace(example(0, 5), copy=1)
    seen = seen_by(bundle_of(model), written(tmp_path, [*examples(3), copied]))
    pictures = np.stack([row.spectrogram for row in examples(3)])[..., np.newaxis] / np.float32(255)
    filters = keras.Model(model.inputs, model.get_layer("filters").output).predict_on_batch(pictures)
    np.testing.assert_allclose(seen.vectors, filters.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    assert seen.labels.tolist() == [0, 1, 0]
    assert seen.answers.tolist() == model.predict_on_batch(pictures).argmax(axis=1).tolist()


def test_of_the_shards_looked_at_only_one_is_held_at_a_time(tmp_path, monkeypatch):
    held, seen_at_once = weakref.WeakValueDictionary(), []

    def read(path):
        shard = read_shard(path)
        pixels = shard.spectrograms
        held[path] = pixels
        seen_at_once.append(len(held))
        return shard

    monkeypatch.setattr("tasks.model.embedding.read_shard", read)
    copied = [replace(row, copy=int(number % 4 > 0)) for number, row in enumerate(examples(32))]
    assert len(seen_by(bundle_of(pooled()), written(tmp_path, copied, size=4)).labels) == 8
    assert max(seen_at_once) <= 2  # the one that is read, and the one before it


def test_what_was_learnt_from_is_looked_at_to_the_last_augmented_copy(tmp_path):
    copied = [replace(row, copy=int(number % 4 > 0)) for number, row in enumerate(examples(32))]
    shards, bundle = written(tmp_path, copied, size=4), bundle_of(pooled())
    originals, vectors = seen_by(bundle, shards).vectors, np.concatenate(list(vectors_of(bundle, shards)))
    assert (len(originals), len(vectors)) == (8, 32)
    np.testing.assert_allclose(vectors[::4], originals, rtol=1e-5)


def test_no_more_examples_are_looked_at_than_were_asked_for(tmp_path):
    assert len(seen_by(bundle_of(pooled()), written(tmp_path, examples(9), size=4), most=6).labels) == 6


def test_a_network_without_pooling_has_no_embedding_and_says_so(tmp_path):
    picture = keras.Input((48, 128, 1), name="spectrogram")
    flat = keras.Model(picture, keras.layers.Dense(2)(keras.layers.Flatten()(picture)), name="flat")
    with pytest.raises(Impossible, match="flat has no global average pooling"):
        seen_by(bundle_of(flat), written(tmp_path, examples(2)))
    with pytest.raises(Impossible, match="no example that is no copy"):
        seen_by(bundle_of(pooled()), ())
