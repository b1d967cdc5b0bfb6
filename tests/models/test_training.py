"""Training on small shards with known labels."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.dataset.shards.shard import ShardError
from tasks.model.bundle.bundle import Bundle, BundleFacts
from tasks.model.networks.blocks import class_probabilities, input_of
from tasks.model.prediction import predictions
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training import feed
from tasks.model.training.checkpoint import Checkpoints
from tasks.model.training.classifier import train
from tasks.model.training.stream import Reader
from tasks.model.zoo import MODELS, ModelEntry, UnknownModel
from tests.model_shards import PIPELINE, example, examples, written

SETTINGS = TrainingSettings(epochs=3, batch=8, seed=1)
TRAIN_IN_ITS_OWN_PROCESS = """
import hashlib, sys, time
from pathlib import Path
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training.classifier import train
from tests.model_shards import stored
train_shard, valid_shard = (stored(Path(path)) for path in sys.argv[1:])
spec = TrainingSpec("cnn", ("a", "b"), (train_shard,), (valid_shard,), TrainingSettings(3, 8, seed=1))
weights = train(spec, lambda epoch, figures: None, time.perf_counter).model.get_weights()
print(hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest())
"""


def silent(epoch, figures):
    """Ignore the epoch."""


def trained(spec, on_epoch=silent):
    return train(spec, on_epoch, time.perf_counter)


def small(shapes, n_classes):
    """One dense layer on the mean level of each band; it compiles fast."""
    spectrogram = input_of("spectrogram", shapes)
    bands = keras.layers.Flatten()(keras.layers.AveragePooling2D((1, shapes.n_frames))(spectrogram))
    return keras.Model(spectrogram, class_probabilities(bands, n_classes))


def merged(shapes, n_classes):
    """Two inputs: features and the mean level of each band."""
    spectrogram, features = input_of("spectrogram", shapes), input_of("features", shapes)
    bands = keras.layers.Flatten()(keras.layers.AveragePooling2D((1, shapes.n_frames))(spectrogram))
    both = keras.layers.Concatenate()([bands, features])
    return keras.Model([spectrogram, features], class_probabilities(both, n_classes))


@pytest.fixture(autouse=True)
def _test_models_are_in_the_zoo(monkeypatch):
    monkeypatch.setitem(MODELS, "small", ModelEntry("small", "for tests", ("spectrogram",), small))
    monkeypatch.setitem(MODELS, "merged", ModelEntry("merged", "for tests", ("spectrogram", "features"), merged))


@pytest.fixture
def spec(tmp_path):
    return TrainingSpec(
        "small",
        ("a", "b"),
        written(tmp_path, examples(48), "train"),
        written(tmp_path, examples(16, first=100), "valid"),
        SETTINGS,
    )


def test_two_classes_that_differ_in_their_bands_are_separated(spec):
    """Slow: trains until the network makes no error."""
    outcome = trained(replace(spec, model="cnn", settings=replace(SETTINGS, epochs=15)))
    best = outcome.history[outcome.best_epoch - 1]
    assert best["val_accuracy"] == 1.0
    unseen = np.stack([example(number % 2, number).spectrogram for number in range(500, 520)])[..., np.newaxis]
    assert (outcome.model.predict_on_batch(unseen / 255).argmax(axis=1) == np.arange(500, 520) % 2).all()


def test_the_same_specification_gives_the_same_weights_in_any_process(spec):
    """Slow: three trainings, one of them in a process that imports TensorFlow."""
    spec = replace(spec, model="cnn")
    here = trained(spec).model.get_weights()
    again = trained(spec).model.get_weights()
    for first, second in zip(here, again, strict=True):
        np.testing.assert_array_equal(first, second)
    paths = [str(spec.train_shards[0].path), str(spec.valid_shards[0].path)]
    there = subprocess.run(
        [sys.executable, "-c", TRAIN_IN_ITS_OWN_PROCESS, *paths], check=True, capture_output=True, text=True
    )
    assert there.stdout.strip() == hashlib.sha256(b"".join(weight.tobytes() for weight in here)).hexdigest()


def test_a_network_with_two_inputs_is_trained_and_predicts_like_any_other(spec, tmp_path):
    spec = replace(spec, model="merged", settings=replace(SETTINGS, epochs=10, learning_rate=1e-2))
    outcome = trained(spec)
    assert outcome.history[-1]["val_accuracy"] == 1.0
    assert len(outcome.scaling.feature_means) == 15
    facts = BundleFacts("merged", spec.labels, {}, PIPELINE, outcome.scaling, spec.settings, split_digest="d" * 64)
    (answer,) = predictions(Bundle(outcome.model, facts), written(tmp_path, examples(20, first=300), "test"))
    assert (answer.probabilities.argmax(axis=1) == answer.truth).all()


def test_a_network_trained_in_float16_is_stored_in_float32_and_can_be_resumed(spec, monkeypatch):
    monkeypatch.setattr("tasks.model.training.classifier.is_half_precision_fast", lambda: True)
    kept = []
    outcome = train(spec, silent, time.perf_counter, Checkpoints(lambda: None, kept.append))
    assert outcome.history[-1]["loss"] < outcome.history[0]["loss"]
    assert {layer.compute_dtype for layer in outcome.model.layers} == {"float32"}
    again = train(spec, silent, time.perf_counter, Checkpoints(lambda: kept[0], lambda data: None))
    for one, other in zip(outcome.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert keras.config.dtype_policy().name == "float32"


def test_another_seed_gives_other_weights(spec):
    one, other = (trained(replace(spec, settings=replace(SETTINGS, seed=seed))).model.get_weights() for seed in (1, 2))
    assert not np.array_equal(one[0], other[0])


def test_the_weights_of_the_epoch_with_the_lowest_validation_loss_are_kept(spec):
    settings = replace(SETTINGS, epochs=8, learning_rate=3.0)
    outcome = trained(replace(spec, settings=settings))
    losses = [figures["val_loss"] for figures in outcome.history]
    assert outcome.best_epoch == 1 + int(np.argmin(losses)) < len(losses)
    until_best = trained(replace(spec, settings=replace(settings, epochs=outcome.best_epoch)))
    for kept, then in zip(outcome.model.get_weights(), until_best.model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, then)


def test_training_stops_when_validation_no_longer_improves(spec, tmp_path):
    # Swapped validation labels: as training improves, validation gets worse.
    turned = [replace(row, label=1 - row.label) for row in examples(16, first=100)]
    settings = replace(SETTINGS, epochs=40, early_stop_patience=2, plateau_patience=1)
    outcome = trained(replace(spec, valid_shards=written(tmp_path, turned, "turned"), settings=settings))
    assert len(outcome.history) == outcome.best_epoch + 2 < 40
    assert outcome.history[-1]["learning_rate"] < 1e-3


def test_each_epoch_is_reported_when_it_ends(spec):
    reported = []
    outcome = trained(spec, lambda epoch, figures: reported.append((epoch, figures)))
    assert [epoch for epoch, _ in reported] == [1, 2, 3]
    assert set(reported[0][1]) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert all(type(value) is float for _, figures in reported for value in figures.values())
    assert outcome.history == [{"epoch": epoch, **figures} for epoch, figures in reported]


def test_an_exception_from_on_epoch_ends_the_training(spec):
    reported = []

    def cancel(epoch, figures):
        reported.append(epoch)
        raise InterruptedError("cancelled")

    with pytest.raises(InterruptedError, match="cancelled"):
        trained(spec, cancel)
    assert reported == [1]


def test_without_validation_all_epochs_run_and_a_note_says_so(spec):
    outcome = trained(replace(spec, valid_shards=()))
    assert len(outcome.history) == outcome.best_epoch == 3
    assert "val_loss" not in outcome.history[0]
    assert any("no validation examples" in note for note in outcome.notes)


def test_a_small_set_uses_smaller_batches_and_a_note_says_so(spec):
    outcome = trained(replace(spec, settings=replace(SETTINGS, batch=32)))
    assert any("batches of 8 instead of 32: there are only 48 training examples" in note for note in outcome.notes)
    same = trained(replace(spec, settings=replace(SETTINGS, batch=8)))
    assert outcome.history == same.history
    assert not same.notes


def test_a_large_set_trains_for_fewer_epochs_and_a_note_says_so(spec, monkeypatch):
    monkeypatch.setattr("tasks.model.spec.MIN_EPOCHS", 1)
    outcome = trained(replace(spec, settings=replace(SETTINGS, schedule="cosine", most_examples=2 * 48)))
    assert len(outcome.history) == 2
    assert "2 epochs instead of 3: there are 48 training examples" in outcome.notes
    assert outcome.history == trained(replace(spec, settings=replace(SETTINGS, schedule="cosine", epochs=2))).history


def test_a_note_names_classes_without_training_examples(spec):
    outcome = trained(replace(spec, labels=("a", "b", "wren")))
    assert any("no training examples of wren" in note for note in outcome.notes)
    assert outcome.model.output_shape == (None, 3)


def test_times_come_from_the_given_clock(spec):
    ticks = itertools.count()
    outcome = train(spec, silent, lambda: float(next(ticks)))
    assert outcome.epoch_s == 2.0  # start, before validation, end
    assert outcome.images_per_s == 48.0
    assert outcome.peak_rss_bytes > 50e6
    assert (outcome.parameters, outcome.trainable_parameters) == (98, 98)
    assert outcome.device


def test_a_loss_that_is_not_finite_fails_and_names_epoch_and_rate(spec):
    with pytest.raises(Impossible, match=r"loss is (nan|inf) in epoch \d, at learning rate 3e\+38"):
        trained(replace(spec, settings=replace(SETTINGS, learning_rate=3e38)))


def test_a_single_class_is_refused(spec, tmp_path):
    lonely = written(tmp_path, [example(1, number) for number in range(10)], "lonely")
    with pytest.raises(Impossible, match=r"exist for 1 class \(b\)"):
        trained(replace(spec, train_shards=lonely))


def test_an_empty_training_subset_is_refused(spec):
    with pytest.raises(Impossible, match=r"exist for 0 classes \(none\)"):
        trained(replace(spec, train_shards=()))


def test_shards_of_two_pipelines_are_refused(spec, tmp_path):
    other = written(tmp_path, examples(8), "other", pipeline="c" * 64)
    with pytest.raises(Impossible, match="train on shards of one pipeline"):
        trained(replace(spec, valid_shards=other))


def test_a_label_without_a_name_is_refused(spec, tmp_path):
    with pytest.raises(Impossible, match="holds label number 2, but the run names only 2 labels"):
        trained(replace(spec, train_shards=written(tmp_path, examples(9, n_classes=3), "three")))


def test_an_unknown_model_is_refused(spec):
    with pytest.raises(UnknownModel, match="oracle"):
        trained(replace(spec, model="oracle"))


def test_a_shard_damaged_after_its_footer_was_read_raises_shard_error(spec, monkeypatch):
    def torn(path):
        raise ShardError(f"{path.name} is torn")

    monkeypatch.setattr(feed, "Reader", lambda shards: Reader(shards, read=torn))
    with pytest.raises(ShardError, match=r"train-0\.parquet is torn"):
        trained(spec)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 0), ("batch", -1), ("label_smoothing", 1.0), ("plateau_factor", 1.0), ("seed", -1)],
)
def test_an_invalid_setting_is_refused_by_name(name, value):
    with pytest.raises(Impossible, match=rf"{name} is {value}; set it to"):
        replace(SETTINGS, **{name: value})
