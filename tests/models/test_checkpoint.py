"""A training that was interrupted ends with the weights of one that was not."""

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
from tasks.model.training.checkpoint import Checkpoints, Progress, packed, unpacked
from tasks.model.training.classifier import train
from tasks.model.zoo import MODELS, ModelEntry
from tests.model_shards import examples, written


class Killed(Exception):
    """Stands for a process that is gone."""


class Kept:
    """A store of one checkpoint that kills the training when so many were saved."""

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


def ended(spec, checkpoints=None, told=None):
    def on_epoch(epoch, figures):
        if told is not None:
            told.append((epoch, figures))

    return train(spec, on_epoch, time.perf_counter, *([checkpoints] if checkpoints else []))


def tiny_cnn(shapes, n_classes):
    """One of each kind of the cnn's layers."""
    spectrogram = input_of("spectrogram", shapes)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(spectrogram)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    return keras.Model(spectrogram, class_probabilities(keras.layers.Dropout(0.5)(x), n_classes))


def tiny_lstm(shapes, n_classes):
    """One of each kind of the lstm's layers."""
    bands = input_of("bands", shapes)
    x = keras.layers.Dense(8, activation="relu")(keras.layers.LSTM(4)(bands))
    return keras.Model(bands, class_probabilities(keras.layers.Dropout(0.5)(x), n_classes))


@pytest.fixture
def _tiny_networks_are_in_the_zoo(monkeypatch):
    for name, kind, build in (("tiny_cnn", "spectrogram", tiny_cnn), ("tiny_lstm", "bands", tiny_lstm)):
        monkeypatch.setitem(MODELS, name, ModelEntry(name, "for tests", (kind,), build))


@pytest.mark.usefixtures("_tiny_networks_are_in_the_zoo")
@pytest.mark.parametrize(
    ("name", "settings"),
    [("cnn", SETTINGS), ("lstm", COSINE), ("tiny_cnn", COSINE), ("tiny_lstm", SETTINGS)],
    ids=["cnn-plateau", "lstm-cosine", "tiny cnn-cosine", "tiny lstm-plateau"],
)
def test_killed_twice_and_gone_on_with_it_is_the_same_training(name, settings, tmp_path):
    """Slow: four trainings, each of which builds its graph anew, and that of the lstm is large."""
    spec = spec_of(tmp_path, name, settings)
    undisturbed = ended(spec)
    kept = Kept(2)
    for _ in range(2):
        with pytest.raises(Killed):
            ended(spec, kept.checkpoints)
        kept.left = 2
    told = []
    kept.left = 99
    resumed = ended(spec, kept.checkpoints, told)
    assert kept.left == 99 - 2  # of six epochs four were done before
    assert resumed.history == undisturbed.history
    assert resumed.best_epoch == undisturbed.best_epoch
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4, 5, 6]
    for one, other in zip(resumed.model.get_weights(), undisturbed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_killed_after_its_last_epoch_it_only_hands_over(tmp_path):
    spec = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2))
    kept = Kept(2)
    with pytest.raises(Killed):
        ended(spec, kept.checkpoints)
    again = ended(spec, kept.checkpoints)
    assert len(again.history) == 2
    for one, other in zip(again.model.get_weights(), ended(spec).model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


PROGRESS = Progress([{"epoch": 1.0, "loss": 0.5}], [np.arange(6.0).reshape(2, 3), np.array(7, np.int64)], [np.ones(3)])


def test_it_comes_back_as_it_was():
    again = unpacked(packed(PROGRESS))
    assert again.history == PROGRESS.history
    for name in ("variables", "best"):
        for one, other in zip(getattr(again, name), getattr(PROGRESS, name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_of_other_libraries_it_is_none(monkeypatch):
    kept = packed(PROGRESS)
    monkeypatch.setattr("tasks.model.training.checkpoint.library_versions", lambda: {"tensorflow": "2.0.0"})
    assert unpacked(kept) is None
    assert unpacked(packed(PROGRESS)) is not None


@given(st.integers(0, 10_000))
def test_cut_short_it_is_none(at):
    whole = packed(PROGRESS)
    assert unpacked(whole[: at % len(whole)]) is None


def test_with_any_byte_changed_it_is_none():
    whole = packed(PROGRESS)
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        assert unpacked(bytes(changed)) is None, at


def test_it_is_an_archive_that_others_can_read():
    with np.load(io.BytesIO(packed(PROGRESS))) as held:
        np.testing.assert_array_equal(held["variables-0"], PROGRESS.variables[0])


def test_one_of_a_version_without_a_digest_is_gone_on_with():
    content = packed(PROGRESS)[: -64 - 2] + b"\0\0"
    assert unpacked(content).history == PROGRESS.history
    assert unpacked(content[:-1]) is None


def test_a_pickled_array_in_it_is_never_opened():
    held = io.BytesIO()
    np.savez(held, facts=np.array({"schema": "x"}, dtype=object))
    assert unpacked(held.getvalue()) is None


def test_a_broken_one_is_begun_again(tmp_path):
    spec = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2))
    kept = Kept(99)
    kept.data = b"PK not a checkpoint"
    assert len(ended(spec, kept.checkpoints).history) == 2
    assert kept.left == 97


def test_one_of_another_network_is_begun_again(tmp_path):
    spec, other = (spec_of(tmp_path, name, replace(SETTINGS, epochs=2)) for name in ("mlp", "cnn"))
    kept = Kept(1)
    with pytest.raises(Killed):
        ended(other, kept.checkpoints)
    kept.left = 99
    again = ended(spec, kept.checkpoints)
    assert kept.left == 97
    for one, fresh in zip(again.model.get_weights(), ended(spec).model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, fresh)


def test_one_of_a_machine_that_computes_in_16_bits_is_begun_again_where_32_are_computed_in(tmp_path, monkeypatch):
    spec, kept = spec_of(tmp_path, "mlp", replace(SETTINGS, epochs=2)), Kept(1)
    with monkeypatch.context() as gpu, pytest.raises(Killed):
        gpu.setattr("tasks.model.training.classifier.is_half_precision_fast", lambda: True)
        ended(spec, kept.checkpoints)
    kept.left = 99
    assert ended(spec, kept.checkpoints).history == ended(spec).history
