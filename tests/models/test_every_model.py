"""Contract tests for every network of the zoo, and the architecture tables."""

from __future__ import annotations

import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.model.bundle.bundle import BundleFacts, read_bundle, write_bundle
from tasks.model.bundle.libraries import library_versions
from tasks.model.inputs import INPUTS, InputShapes
from tasks.model.prediction import predictions
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.synthesis import synthetic_examples
from tasks.model.training import adversarial
from tasks.model.training.classifier import train
from tasks.model.zoo import MODELS, build_network, entry, is_generator
from tests.model_shards import PIPELINE, examples, written

# The layer tables at 27 classes: type, output shape without the batch, parameters.
CNN_TRUNK = [
    ("InputLayer", (48, 128, 1), 0),
    ("Conv2D", (46, 126, 16), 160),
    ("BatchNormalization", (46, 126, 16), 64),
    ("MaxPooling2D", (23, 63, 16), 0),
    ("Conv2D", (21, 61, 32), 4_640),
    ("BatchNormalization", (21, 61, 32), 128),
    ("MaxPooling2D", (10, 30, 32), 0),
    ("Conv2D", (8, 28, 64), 18_496),
    ("BatchNormalization", (8, 28, 64), 256),
    ("MaxPooling2D", (4, 14, 64), 0),
    ("Conv2D", (2, 12, 128), 73_856),
    ("BatchNormalization", (2, 12, 128), 512),
    ("MaxPooling2D", (1, 6, 128), 0),
    ("GlobalAveragePooling2D", (128,), 0),
    ("Dense", (512,), 66_048),
    ("Dropout", (512,), 0),
    ("Dense", (512,), 262_656),
    ("Dropout", (512,), 0),
    ("Dense", (128,), 65_664),
    ("Dropout", (128,), 0),
]
MLP_TRUNK = [
    ("InputLayer", (15,), 0),
    ("Dense", (64,), 1_024),
    ("Dense", (64,), 4_160),
    ("Dense", (64,), 4_160),
    ("Dropout", (64,), 0),
]
LSTM_TRUNK = [
    ("InputLayer", (48, 128), 0),
    ("LSTM", (48, 36), 23_760),
    ("LSTM", (48, 32), 8_832),
    ("LSTM", (48, 28), 6_832),
    ("LSTM", (48, 24), 5_088),
    ("LSTM", (48, 20), 3_600),
    ("LSTM", (16,), 2_368),
    ("Dense", (64,), 1_088),
    ("Dropout", (64,), 0),
    ("Dense", (64,), 4_160),
    ("Dropout", (64,), 0),
    ("Dense", (32,), 2_080),
    ("Dropout", (32,), 0),
]
TABLES = {
    "cnn": [*CNN_TRUNK, ("Dense", (27,), 3_483)],
    "mlp": [*MLP_TRUNK, ("Dense", (27,), 1_755)],
    "lstm": [*LSTM_TRUNK, ("Dense", (27,), 891)],
}
# Trunks side by side, then what follows their concatenation.
MERGED = {
    "cnn_mlp": (
        [CNN_TRUNK, MLP_TRUNK],
        [("Concatenate", (192,), 0), ("Dense", (32,), 6_176), ("Dropout", (32,), 0), ("Dense", (27,), 891)],
    ),
    "cnn_lstm": (
        [CNN_TRUNK, LSTM_TRUNK],
        [("Concatenate", (160,), 0), ("Dense", (64,), 10_304), ("Dense", (27,), 1_755)],
    ),
}
TOTALS = {
    "cnn": (495_963, 495_483),
    "mlp": (11_099, 11_099),
    "lstm": (58_699, 58_699),
    "cnn_mlp": (508_891, 508_411),
    "cnn_lstm": (562_347, 561_867),
}

every_model = pytest.mark.parametrize("name", sorted(MODELS))
every_classifier = pytest.mark.parametrize("name", sorted(name for name in MODELS if not is_generator(name)))
every_generator = pytest.mark.parametrize("name", sorted(filter(is_generator, MODELS)))


def row(layer):
    return type(layer).__name__, tuple(layer.output.shape[1:]), layer.count_params()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_layers_match_the_table(name):
    model = entry(name).build(InputShapes(), 27)
    assert [row(layer) for layer in model.layers] == TABLES[name]


def chain_to(tensor):
    """Return the chain of single-input layers that ends in the tensor, first to last."""
    chain = []
    while tensor is not None:
        layer = tensor._keras_history.operation
        chain.append(layer)
        inputs = layer._inbound_nodes[0].input_tensors
        tensor = inputs[0] if len(inputs) == 1 else None
    return chain[::-1]


@pytest.mark.parametrize("name", sorted(MERGED))
def test_merged_networks_contain_both_trunks(name):
    trunks, joint = MERGED[name]
    model = entry(name).build(InputShapes(), 27)
    rows = chain_to(model.output)
    assert [row(layer) for layer in rows] == joint
    assert [[row(layer) for layer in chain_to(x)] for x in rows[0]._inbound_nodes[0].input_tensors] == trunks


@pytest.mark.parametrize("name", sorted(TOTALS))
def test_the_parameter_counts_match_the_table(name):
    model = entry(name).build(InputShapes(), 27)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == TOTALS[name]


def test_the_deep_network_has_fewer_than_five_million_parameters():
    model = entry("deep_cnn").build(InputShapes(128, 251), 27)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert (model.count_params(), trainable) == (691_707, 689_627)
    assert entry("deep_cnn").build(InputShapes(128, 251), 1_000).count_params() < 5_000_000


@pytest.mark.parametrize(("n_mels", "n_left"), [(64, 32), (95, 48), (96, 24), (128, 32)])
def test_the_stem_reduces_many_bands_to_as_few_as_it_does_few(n_mels, n_left):
    model = entry("deep_cnn").build(InputShapes(n_mels, 251), 27)
    assert tuple(model.get_layer("deep_stem_relu").output.shape[1:]) == (n_left, 126, 32)


@every_classifier
def test_a_network_reads_the_inputs_of_its_entry_and_returns_probabilities(name):
    shapes = InputShapes()
    model = entry(name).build(shapes, 5)
    assert tuple(tensor.name for tensor in model.inputs) == entry(name).inputs
    draw = np.random.default_rng(0)
    noise = [draw.random((3, *INPUTS[kind].shape(shapes)), np.float32) for kind in entry(name).inputs]
    answer = model.predict_on_batch(noise[0] if len(noise) == 1 else noise)
    assert answer.shape == (3, 5)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


@every_model
def test_layer_names_do_not_depend_on_networks_built_before(name):
    first, second = (entry(name).build(InputShapes(), 3) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]


def written_read_and_written_again(folder, spec, trained):
    """Return the bundle of a training, after checking that rewriting it gives the same bytes."""
    facts = BundleFacts(
        spec.model, spec.labels, {}, PIPELINE, trained.scaling, spec.settings, split_digest="d" * 64,
        versions=library_versions(),
    )  # fmt: skip
    first, again = folder / "model.keras", folder / "again.keras"
    write_bundle(first, trained.model, facts)
    bundle = read_bundle(first)
    write_bundle(again, bundle.model, facts)
    assert again.read_bytes() == first.read_bytes()
    return bundle


@every_classifier
def test_a_network_is_trained_bundled_read_and_predicts(name, tmp_path):
    """Slow: builds the graphs of seven networks for training, bundling and prediction."""
    settings = TrainingSettings(epochs=12, batch=8, seed=3)
    train_shards = written(tmp_path, examples(64), "train")
    spec = TrainingSpec(name, ("a", "b"), train_shards, written(tmp_path, examples(16, first=200), "valid"), settings)
    trained = train(spec, lambda epoch, figures: None, time.perf_counter)
    bundle = written_read_and_written_again(tmp_path, spec, trained)
    (answer,) = predictions(bundle, written(tmp_path, examples(20, first=300), "test"))
    assert (answer.probabilities.argmax(axis=1) == answer.truth).mean() >= 0.9


@every_model
def test_other_spectrogram_sizes_and_class_numbers_are_possible(name):
    model = entry(name).build(InputShapes(n_mels=64, n_frames=96, n_features=20), 2)
    assert isinstance(model, keras.Model)
    assert model.output_shape == ((None, 64, 96, 1) if is_generator(name) else (None, 2))


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.min_size > 1])
@pytest.mark.parametrize("narrow", ["n_mels", "n_frames"])
def test_spectrograms_of_the_minimum_size_are_accepted_and_smaller_ones_refused(name, narrow):
    min_size = entry(name).min_size
    assert build_network(entry(name), InputShapes(min_size, min_size), 2).output_shape == (None, 2)
    with pytest.raises(Impossible, match=f"{name} cannot be built for spectrograms of"):
        build_network(entry(name), replace(InputShapes(min_size, min_size), **{narrow: min_size - 1}), 2)


@every_generator
def test_a_generators_evaluator_is_a_classifier_with_the_same_preset(name):
    evaluator = entry(entry(name).evaluator)
    assert not evaluator.is_generator
    assert evaluator.preset == entry(name).preset
    assert "features" not in evaluator.inputs


@every_generator
def test_a_generator_is_trained_bundled_read_and_generates_every_class(name, tmp_path):
    """Slow: builds the graphs of generator and critic."""
    settings = TrainingSettings(epochs=1, batch=8, seed=3)
    spec = TrainingSpec(name, ("a", "b"), written(tmp_path, examples(16), "train"), (), settings)
    trained = adversarial.train(spec, lambda epoch, figures: None, time.perf_counter)
    bundle = written_read_and_written_again(tmp_path, spec, trained)
    synthetic = list(synthetic_examples(bundle.model, {0: 3, 1: 5}, InputShapes(), 0))
    assert sorted(example.label for example in synthetic) == [0] * 3 + [1] * 5
    assert all(example.synthetic and example.spectrogram.shape == (48, 128) for example in synthetic)
    assert all(np.isnan(example.features).all() for example in synthetic)
    with pytest.raises(Impossible, match="is a generator and predicts no classes"):
        next(predictions(bundle, spec.train_shards))
