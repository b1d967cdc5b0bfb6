"""A resumed training gives the same weights as an uninterrupted one."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.networks.blocks import class_probabilities, input_of
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training.checkpoint import Checkpoints, Progress, decode_progress, encode_progress
from tasks.model.training.classifier import train
from tasks.model.zoo import MODELS, ModelEntry
from tests.model_shards import examples, written


class Killed(Exception):
    """The training process was killed."""


class DyingStorage:
    """Stores one checkpoint and kills the training after `dies_after` saves."""

    def __init__(self, dies_after):
        self.data, self.left = None, dies_after

    def save(self, data):
        self.data, self.left = data, self.left - 1
        if self.left == 0:
            raise Killed

    @property
    def checkpoints(self):
        return Checkpoints(lambda: self.data, self.save)


SETTINGS = TrainingSettings(epochs=6, batch=8, seed=1)
COSINE = replace(SETTINGS, schedule="cosine", hold_out=False, weight_decay=0.01, shift=0.3, time_mask=0.2, mixup=0.3)


def spec_of(folder, name, settings):
    valid = written(folder, examples(16, first=100), "valid") if settings.hold_out else ()
    return TrainingSpec(name, ("a", "b"), written(folder, examples(40), "train"), valid, settings)


def finish(spec, checkpoints=None, reported=None):
    def on_epoch(epoch, figures):
        if reported is not None:
            reported.append((epoch, figures))

    return train(spec, on_epoch, time.perf_counter, *([checkpoints] if checkpoints else []))


def tiny_cnn(shapes, n_classes):
    """One layer of each kind in the cnn."""
    spectrogram = input_of("spectrogram", shapes)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(spectrogram)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    return keras.Model(spectrogram, class_probabilities(keras.layers.Dropout(0.5)(x), n_classes))


def tiny_lstm(shapes, n_classes):
    """One layer of each kind in the lstm."""
    bands = input_of("bands", shapes)
    x = keras.layers.Dense(8, activation="relu")(keras.layers.LSTM(4)(bands))
    return keras.Model(bands, class_probabilities(keras.layers.Dropout(0.5)(x), n_classes))


@pytest.fixture
def _tiny_networks(monkeypatch):
    for name, kind, build in (("tiny_cnn", "spectrogram", tiny_cnn), ("tiny_lstm", "bands", tiny_lstm)):
        monkeypatch.setitem(MODELS, name, ModelEntry(name, "for tests", (kind,), build))


@pytest.mark.usefixtures("_tiny_networks")
@pytest.mark.parametrize(
    ("name", "settings"),
    [("cnn", SETTINGS), ("lstm", COSINE), ("tiny_cnn", COSINE), ("tiny_lstm", SETTINGS)],
    ids=["cnn-plateau", "lstm-cosine", "tiny cnn-cosine", "tiny lstm-plateau"],
)
def test_a_training_resumed_twice_equals_an_uninterrupted_one(name, settings, tmp_path):
    """Slow: four trainings build a graph each, and that of the lstm is large."""
    spec = spec_of(tmp_path, name, settings)
    undisturbed = finish(spec)
    storage = DyingStorage(2)
    for _ in range(2):
        with pytest.raises(Killed):
            finish(spec, storage.checkpoints)
        storage.left = 2
    reported = []
    storage.left = 99
    resumed = finish(spec, storage.checkpoints, reported)
    assert storage.left == 99 - 2  # four of the six epochs were already done
    assert resumed.history == undisturbed.history
    assert resumed.best_epoch == undisturbed.best_epoch
    assert [epoch for epoch, _ in reported] == [1, 2, 3, 4, 5, 6]
    for one, other in zip(resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_resumed_after_its_last_epoch_trains_no_more(tmp_path):
    spec = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2))
    storage = DyingStorage(2)
    with pytest.raises(Killed):
        finish(spec, storage.checkpoints)
    again = finish(spec, storage.checkpoints)
    assert len(again.history) == 2
    for one, other in zip(again.model.get_weights(), finish(spec).model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


PROGRESS = Progress([{"epoch": 1.0, "loss": 0.5}], [np.arange(6.0).reshape(2, 3), np.array(7, np.int64)], [np.ones(3)])


def test_a_checkpoint_survives_a_round_trip():
    again = decode_progress(encode_progress(PROGRESS))
    assert again.history == PROGRESS.history
    for name in ("variables", "best"):
        for one, other in zip(getattr(again, name), getattr(PROGRESS, name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_a_checkpoint_of_other_library_versions_is_ignored(monkeypatch):
    storage = encode_progress(PROGRESS)
    monkeypatch.setattr("tasks.model.training.checkpoint.library_versions", lambda: {"tensorflow": "2.0.0"})
    assert decode_progress(storage) is None
    assert decode_progress(encode_progress(PROGRESS)) is not None


@given(st.integers(0, 10_000))
def test_a_truncated_checkpoint_is_ignored(at):
    whole = encode_progress(PROGRESS)
    assert decode_progress(whole[: at % len(whole)]) is None


def test_a_checkpoint_with_any_byte_changed_is_ignored():
    whole = encode_progress(PROGRESS)
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        assert decode_progress(bytes(changed)) is None, at


def test_a_checkpoint_is_an_npz_archive():
    with np.load(io.BytesIO(encode_progress(PROGRESS))) as archive:
        np.testing.assert_array_equal(archive["variables-0"], PROGRESS.variables[0])


def test_a_checkpoint_of_a_version_without_a_digest_can_be_resumed():
    content = encode_progress(PROGRESS)[: -64 - 2] + b"\0\0"
    assert decode_progress(content).history == PROGRESS.history
    assert decode_progress(content[:-1]) is None


def test_a_pickled_array_in_a_checkpoint_is_never_loaded():
    held = io.BytesIO()
    np.savez(held, facts=np.array({"schema": "x"}, dtype=object))
    assert decode_progress(held.getvalue()) is None


def test_a_damaged_checkpoint_restarts_the_training(tmp_path):
    spec = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2))
    storage = DyingStorage(99)
    storage.data = b"PK not a checkpoint"
    assert len(finish(spec, storage.checkpoints).history) == 2
    assert storage.left == 97


def test_a_checkpoint_of_another_network_restarts_the_training(tmp_path):
    spec, other = (spec_of(tmp_path, name, replace(SETTINGS, epochs=2)) for name in ("mlp", "cnn"))
    storage = DyingStorage(1)
    with pytest.raises(Killed):
        finish(other, storage.checkpoints)
    storage.left = 99
    again = finish(spec, storage.checkpoints)
    assert storage.left == 97
    for one, fresh in zip(again.model.get_weights(), finish(spec).model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, fresh)


def test_a_float16_checkpoint_restarts_the_training_on_a_float32_machine(tmp_path, monkeypatch):
    spec, storage = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2)), DyingStorage(1)
    with monkeypatch.context() as gpu, pytest.raises(Killed):
        gpu.setattr("tasks.model.training.classifier.is_half_precision_fast", lambda: True)
        finish(spec, storage.checkpoints)
    storage.left = 99
    assert finish(spec, storage.checkpoints).history == finish(spec).history
