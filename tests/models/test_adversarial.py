"""Training of the GAN on small shards with known labels."""

from __future__ import annotations

import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.model.inputs import InputShapes
from tasks.model.networks import gan
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training import adversarial
from tasks.model.training.checkpoint import Checkpoints
from tests.model_shards import example, examples, written

SETTINGS = TrainingSettings(epochs=3, batch=8, learning_rate=1e-3, schedule="cosine", seed=1)


class Killed(Exception):
    """The training process was killed."""


class DyingStorage:
    """Stores checkpoints in memory; its `on_epoch` kills the training once after each of these epochs."""

    def __init__(self, dies_after=()):
        self.data, self.reported, self._dies_after = None, [], list(dies_after)
        self.checkpoints = Checkpoints(lambda: self.data, self._save)

    def _save(self, data):
        self.data = data

    def listen(self, epoch, figures):
        self.reported.append((epoch, figures))
        if epoch in self._dies_after:
            self._dies_after.remove(epoch)
            raise Killed


@pytest.fixture(autouse=True, scope="module")
def _few_updates():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adversarial, "UPDATES_PER_EPOCH", 4)
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    shards = written(tmp_path_factory.mktemp("shards"), examples(24), "train")
    return TrainingSpec("gan", ("a", "b"), shards, (), SETTINGS)


@pytest.fixture(scope="module")
def undisturbed(spec, _few_updates):
    """An uninterrupted training, and the epochs that it reported."""
    storage = DyingStorage()
    return trained(spec, storage), storage.reported


def trained(spec, storage=None):
    storage = storage or DyingStorage()
    return adversarial.train(spec, storage.listen, time.perf_counter, storage.checkpoints)


def same(one, other):
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


def test_the_same_specification_gives_the_same_generator_and_another_seed_another_one(spec, undisturbed):
    """Slow: each training builds the graph of two networks, as in all tests here."""
    first, _ = undisturbed
    assert same(first, trained(spec))
    assert not same(first, trained(replace(spec, settings=replace(SETTINGS, seed=2))))


def test_a_training_interrupted_twice_gives_the_weights_of_an_uninterrupted_one(spec, undisturbed):
    storage = DyingStorage(dies_after=(1, 2))
    for _ in range(2):
        with pytest.raises(Killed):
            trained(spec, storage)
        keras.utils.set_random_seed(99)  # a new process has another random state
    resumed, (whole, _) = trained(spec, storage), undisturbed
    assert same(resumed, whole)
    assert resumed.history == whole.history
    assert [epoch for epoch, _ in storage.reported] == [1, 1, 2, 1, 2, 3]


def test_each_epoch_reports_both_losses_and_the_learning_rate(undisturbed):
    outcome, reported = undisturbed
    assert all(set(figures) == {"loss", "critic_loss", "learning_rate"} for _, figures in reported)
    assert outcome.best_epoch == 3
    assert outcome.parameters == outcome.model.count_params()


def test_a_loss_that_is_not_finite_fails_and_names_epoch_and_rate(spec):
    with pytest.raises(Impossible, match=r"loss is (nan|-?inf) in epoch \d, at learning rate 3e\+38"):
        trained(replace(spec, settings=replace(SETTINGS, schedule="plateau", learning_rate=3e38)))


def test_a_generator_refuses_synthetic_examples(spec, tmp_path):
    synthetic = [replace(example(number % 2, number), synthetic=True) for number in range(8)]
    with pytest.raises(Impossible, match="cannot be trained on synthetic examples"):
        trained(replace(spec, train_shards=(*spec.train_shards, *written(tmp_path, synthetic, "synthetic"))))


def test_sets_smaller_than_a_batch_are_repeated_until_it_is_full(spec, tmp_path):
    outcome = trained(replace(spec, train_shards=written(tmp_path, examples(3), "tiny")))
    assert len(outcome.history) == 3


def test_generator_and_critic_accept_any_spectrogram_size():
    for shapes in (InputShapes(), InputShapes(64, 251, 15), InputShapes(37, 50, 3)):
        noise, classes = np.zeros((2, gan.NOISE), np.float32), np.eye(2, 5, dtype=np.float32)
        spectrograms = gan.generator(shapes, 5).predict_on_batch([noise, classes])
        assert spectrograms.shape == (2, shapes.n_mels, shapes.n_frames, 1)
        assert 0 <= spectrograms.min() <= spectrograms.max() <= 1
        score, named = gan.critic(shapes, 5).predict_on_batch([spectrograms, classes])
        assert (score.shape, named.shape) == ((2, 1), (2, 5))


def test_pixel_shuffle_turns_four_channels_into_a_square_of_pixels():
    x = keras.Input((1, 2, 4))
    full = keras.Model(x, gan._pixel_shuffle(x)).predict_on_batch(np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4))
    assert full[0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
