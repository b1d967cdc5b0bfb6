"""The GAN's training on small shards whose truth is known."""

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
    """The process is no more."""


class Kept:
    """Checkpoints in memory, and a listener that dies once after each of these epochs."""

    def __init__(self, dies_after=()):
        self.data, self.told, self._dies_after = None, [], list(dies_after)
        self.checkpoints = Checkpoints(lambda: self.data, self._save)

    def _save(self, data):
        self.data = data

    def listen(self, epoch, figures):
        self.told.append((epoch, figures))
        if epoch in self._dies_after:
            self._dies_after.remove(epoch)
            raise Killed


@pytest.fixture(autouse=True, scope="module")
def _few_updates():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adversarial, "UPDATES_AN_EPOCH", 4)
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    shards = written(tmp_path_factory.mktemp("shards"), examples(24), "train")
    return TrainingSpec("gan", ("a", "b"), shards, (), SETTINGS)


@pytest.fixture(scope="module")
def undisturbed(spec, _few_updates):
    """A training from beginning to end, and what it told its listener."""
    kept = Kept()
    return trained(spec, kept), kept.told


def trained(spec, kept=None):
    kept = kept or Kept()
    return adversarial.train(spec, kept.listen, time.perf_counter, kept.checkpoints)


def same(one, other):
    pairs = zip(one.model.get_weights(), other.model.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


def test_the_same_specification_gives_the_same_generator_and_another_seed_another_one(spec, undisturbed):
    """Slow: each training builds the graph of two networks, as in all tests here."""
    first, _ = undisturbed
    assert same(first, trained(spec))
    assert not same(first, trained(replace(spec, settings=replace(SETTINGS, seed=2))))


def test_a_training_killed_twice_ends_with_the_weights_of_one_that_was_not(spec, undisturbed):
    kept = Kept(dies_after=(1, 2))
    for _ in range(2):
        with pytest.raises(Killed):
            trained(spec, kept)
        keras.utils.set_random_seed(99)  # whatever the next process did before
    resumed, (whole, _) = trained(spec, kept), undisturbed
    assert same(resumed, whole)
    assert resumed.history == whole.history
    assert [epoch for epoch, _ in kept.told] == [1, 1, 2, 1, 2, 3]


def test_each_epoch_tells_the_losses_of_both_networks_and_the_rate(undisturbed):
    outcome, told = undisturbed
    assert all(set(figures) == {"loss", "critic_loss", "learning_rate"} for _, figures in told)
    assert outcome.best_epoch == 3
    assert outcome.parameters == outcome.model.count_params()


def test_a_loss_that_is_no_longer_a_number_fails_with_the_epoch_and_the_rate(spec):
    with pytest.raises(Impossible, match=r"loss is (nan|-?inf) in epoch \d, at learning rate 3e\+38"):
        trained(replace(spec, settings=replace(SETTINGS, schedule="plateau", learning_rate=3e38)))


def test_a_generator_does_not_learn_from_synthetic_examples(spec, tmp_path):
    painted = [replace(example(number % 2, number), synthetic=True) for number in range(8)]
    with pytest.raises(Impossible, match="cannot learn from them"):
        trained(replace(spec, train_shards=(*spec.train_shards, *written(tmp_path, painted, "painted"))))


def test_sets_smaller_than_a_batch_are_passed_over_again_until_it_is_full(spec, tmp_path):
    outcome = trained(replace(spec, train_shards=written(tmp_path, examples(3), "tiny")))
    assert len(outcome.history) == 3


def test_pictures_of_any_size_are_made_and_doubted():
    for shapes in (InputShapes(), InputShapes(64, 251, 15), InputShapes(37, 50, 3)):
        noise, classes = np.zeros((2, gan.NOISE), np.float32), np.eye(2, 5, dtype=np.float32)
        pictures = gan.generator(shapes, 5).predict_on_batch([noise, classes])
        assert pictures.shape == (2, shapes.n_mels, shapes.n_frames, 1)
        assert 0 <= pictures.min() <= pictures.max() <= 1
        score, named = gan.critic(shapes, 5).predict_on_batch([pictures, classes])
        assert (score.shape, named.shape) == ((2, 1), (2, 5))


def test_neighbouring_pixels_come_from_the_four_channels_of_one_place():
    x = keras.Input((1, 2, 4))
    full = keras.Model(x, gan._full(x)).predict_on_batch(np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4))
    assert full[0, :, :, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
