"""Synthetic examples are used for training only."""

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
from tasks.model.embedding import embed_originals, embedding_blocks
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
    """A fast untrained generator: the class sets the level, the noise the texture."""
    noise, classes = keras.Input((NOISE,), name="noise"), keras.Input((3,), name="class")
    both = keras.layers.Concatenate()([noise, classes])
    pixels = keras.layers.Dense(48 * 128, activation="sigmoid")(both)
    return keras.Model([noise, classes], keras.layers.Reshape((48, 128, 1))(pixels))


def synthetic(n):
    return [replace(row, synthetic=True, features=np.full(15, np.nan, np.float32)) for row in examples(n)]


def pooling_network(name="pooling_network"):
    spectrogram = keras.Input((48, 128, 1), name="spectrogram")
    filters = keras.layers.Conv2D(4, 3, name="filters")(spectrogram)
    classes = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(filters))
    return keras.Model(spectrogram, classes, name=name)


def bundle_of(model):
    facts = BundleFacts("cnn", ("a", "b"), {}, PIPELINE, Scaling(), SETTINGS, split_digest="d" * 64)
    return Bundle(model, facts)


def test_each_class_gets_as_many_synthetic_as_real_examples_up_to_the_limit(generator, monkeypatch):
    monkeypatch.setattr(synthesis, "MAX_PER_CLASS", 4)
    made = list(synthetic_examples(generator, {2: 3, 0: 90}, InputShapes(), 0))
    assert sorted(each.label for each in made) == [0] * 4 + [2] * 3
    assert len({each.recording for each in made}) == len({each.digest for each in made}) == 7


def test_the_same_seed_generates_the_same_examples_and_another_seed_others(generator):
    one, again, other = (
        [each.digest for each in synthetic_examples(generator, {0: 70, 1: 3}, InputShapes(), seed)]
        for seed in (1, 1, 2)
    )
    assert one == again != other


def test_synthetic_spectrograms_use_the_full_grey_range():
    spectrograms = np.stack([np.linspace(0.2, 0.6, 6).reshape(2, 3), np.full((2, 3), 0.5)])
    assert grey_levels(spectrograms).tolist() == [[[0, 51, 102], [153, 204, 255]], [[128] * 3] * 2]


def test_a_synthetic_shard_is_marked_in_its_footer_and_real_ones_keep_their_bytes(tmp_path):
    (path,) = written(tmp_path, synthetic(4))
    assert shard_facts(path).is_synthetic
    assert read_shard(path).synthetic.all()
    (real,) = shards(examples(4), "b" * 64, PIPELINE)
    assert not shard_facts(real).is_synthetic
    assert b'"synthetic":' not in real


def test_real_and_synthetic_examples_are_not_written_into_one_shard():
    with pytest.raises(ShardError, match="write them to separate shards"):
        list(shards([*synthetic(2), *examples(2)], "b" * 64, PIPELINE))


def test_synthetic_examples_cannot_be_used_for_evaluation(tmp_path):
    with pytest.raises(Impossible, match="evaluate on real examples only"):
        next(predictions(bundle_of(pooling_network()), written(tmp_path, synthetic(4))))


def test_synthetic_examples_cannot_be_used_for_validation(tmp_path):
    spec = TrainingSpec(
        "cnn", ("a", "b"), written(tmp_path, examples(16)), written(tmp_path, synthetic(8), "v"), SETTINGS
    )
    with pytest.raises(Impossible, match="the validation subset holds 8 synthetic examples"):
        train(spec, lambda epoch, figures: None, time.perf_counter)


@pytest.mark.parametrize("name", ["mlp", "cnn_mlp"])
def test_a_network_that_reads_features_refuses_synthetic_examples(name, tmp_path):
    train_shards = (*written(tmp_path, examples(16)), *written(tmp_path, synthetic(8), "synthetic"))
    with pytest.raises(Impossible, match=rf"{name} reads features, but 8 synthetic examples have none"):
        train(
            TrainingSpec(name, ("a", "b"), train_shards, (), SETTINGS), lambda epoch, figures: None, time.perf_counter
        )


def test_an_embedding_is_the_mean_of_each_filter_over_the_spectrogram(tmp_path):
    model = pooling_network()
    copied = replace(example(0, 5), copy=1)
    embedded = embed_originals(bundle_of(model), written(tmp_path, [*examples(3), copied]))
    spectrograms = np.stack([row.spectrogram for row in examples(3)])[..., np.newaxis] / np.float32(255)
    filters = keras.Model(model.inputs, model.get_layer("filters").output).predict_on_batch(spectrograms)
    np.testing.assert_allclose(embedded.vectors, filters.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)
    assert embedded.labels.tolist() == [0, 1, 0]
    assert embedded.predicted.tolist() == model.predict_on_batch(spectrograms).argmax(axis=1).tolist()


def test_only_one_shard_is_in_memory_while_originals_are_embedded(tmp_path, monkeypatch):
    alive, n_in_memory = weakref.WeakValueDictionary(), []

    def read(path):
        shard = read_shard(path)
        pixels = shard.spectrograms
        alive[path] = pixels
        n_in_memory.append(len(alive))
        return shard

    monkeypatch.setattr("tasks.model.embedding.read_shard", read)
    copied = [replace(row, copy=int(number % 4 > 0)) for number, row in enumerate(examples(32))]
    assert len(embed_originals(bundle_of(pooling_network()), written(tmp_path, copied, size=4)).labels) == 8
    assert max(n_in_memory) <= 2  # the shard being read and the previous one


def test_embedding_blocks_cover_all_augmented_copies(tmp_path):
    copied = [replace(row, copy=int(number % 4 > 0)) for number, row in enumerate(examples(32))]
    shards, bundle = written(tmp_path, copied, size=4), bundle_of(pooling_network())
    originals, vectors = embed_originals(bundle, shards).vectors, np.concatenate(list(embedding_blocks(bundle, shards)))
    assert (len(originals), len(vectors)) == (8, 32)
    np.testing.assert_allclose(vectors[::4], originals, rtol=1e-5)


def test_no_more_examples_are_embedded_than_the_limit(tmp_path):
    assert (
        len(embed_originals(bundle_of(pooling_network()), written(tmp_path, examples(9), size=4), limit=6).labels) == 6
    )


def test_a_network_without_pooling_cannot_embed(tmp_path):
    spectrogram = keras.Input((48, 128, 1), name="spectrogram")
    flat = keras.Model(spectrogram, keras.layers.Dense(2)(keras.layers.Flatten()(spectrogram)), name="flat")
    with pytest.raises(Impossible, match="flat has no global average pooling"):
        embed_originals(bundle_of(flat), written(tmp_path, examples(2)))
    with pytest.raises(Impossible, match="no original example"):
        embed_originals(bundle_of(pooling_network()), ())
