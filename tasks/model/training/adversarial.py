"""Training a generator against a critic, so that the same specification gives the same weights, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.model.inputs import Floats, Scaling, grey
from tasks.model.networks import gan
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training import schedule
from tasks.model.training.checkpoint import NOWHERE, Checkpoints, Progress, packed, restored
from tasks.model.training.classifier import Trained, median_but_first
from tasks.model.training.differentiable import Tensor, seen
from tasks.model.training.feed import one_hot
from tasks.model.training.machine import device, peak_rss_bytes
from tasks.model.training.schedule import OnEpoch, OnStep, heard, tell, unheard
from tasks.model.training.stream import Reader, Row, ShardSet, batches
from tasks.model.training.training_sets import surveyed_sides

UPDATES_AN_EPOCH = 64
"""Whatever the size of the set: so the cost of a training is bounded, and so is what a killed one loses."""
CRITIC_RATE = 2.0
"""The critic's learning rate in those of the generator. Source: Heusel et al. 2017, arXiv:1706.08500."""
KEPT = 0.99
"""Share of the averaged generator that one update leaves in place. Source: Yazici et al. 2019, arXiv:1806.04498."""
NAMED = 0.2
"""Weight of being named as the class that was meant; the more, the more alike the pictures of a class become."""
_BETAS = {"beta_1": 0.0, "beta_2": 0.99}
_PASSES = 1 << 20

Fed = tuple[Floats, Floats]


def train(
    spec: TrainingSpec, on_epoch: OnEpoch, clock: Callable[[], float], checkpoints: Checkpoints = NOWHERE,
    on_step: OnStep = unheard,
) -> Trained:  # fmt: skip
    """A generator of the last epoch, its weights averaged over the updates; arguments as of `training.train`.

    It learns from the train shards alone and stops after exactly `epochs` of 64 updates; of the settings only
    epochs, batch, learning rate with its schedule, and seed have a say. `on_epoch` is told loss (of the generator),
    critic_loss and learning_rate.

    Sets the process-wide random seeds and makes TensorFlow deterministic, for good. Memory does not grow with the
    number of examples.
    Raises Impossible as `training.train` does, Damaged where a shard is not what was written.
    """
    sides = surveyed_sides(spec)
    keras.utils.set_random_seed(spec.settings.seed)
    tf.config.experimental.enable_op_determinism()
    duel = _Duel(sides.train, len(spec.labels), spec.settings, clock, on_step)
    duel.run(on_epoch, checkpoints)
    made = duel.averaged
    return Trained(
        model=made,
        scaling=Scaling(),
        best_epoch=len(duel.progress.history),
        history=duel.progress.history,
        device=device(),
        images_per_s=UPDATES_AN_EPOCH * spec.settings.batch / median_but_first(duel.epochs_s),
        epoch_s=median_but_first(duel.epochs_s),
        peak_rss_bytes=peak_rss_bytes(),
        parameters=made.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in made.trainable_weights),
        notes=(),
    )


class _Duel:
    """Generator and critic on their way, epoch by epoch. averaged: the generator that is kept."""

    def __init__(
        self, shards: ShardSet, n_classes: int, settings: TrainingSettings, clock: Callable[[], float], on_step: OnStep
    ) -> None:
        self._on_step = on_step
        self._reader, self._n_classes, self._settings, self._clock = Reader(shards), n_classes, settings, clock
        self._generator = gan.generator(shards.shapes, n_classes)
        self._critic = gan.critic(shards.shapes, n_classes)
        self.averaged = gan.generator(shards.shapes, n_classes)
        self.averaged.set_weights(self._generator.get_weights())
        rate = settings.learning_rate
        self._paints = keras.optimizers.Adam(rate, **_BETAS)
        self._doubts = keras.optimizers.Adam(rate * CRITIC_RATE, **_BETAS)
        self._paints.build(self._generator.trainable_variables)
        self._doubts.build(self._critic.trainable_variables)
        self._update = tf.function(self._updated, reduce_retracing=True)
        self.progress = Progress()
        self.epochs_s: list[float] = []

    def run(self, on_epoch: OnEpoch, checkpoints: Checkpoints) -> None:
        """Every epoch that is still to do."""
        self.progress = restored(checkpoints, self._variables()) or self.progress
        for figures in self.progress.history:
            tell(on_epoch, figures)
        while not schedule.is_over(self._settings, self.progress.history):
            figures = self._epoch()
            schedule.require_finite(figures)
            self.progress.history.append(figures)
            self.progress.variables = [np.array(variable) for variable in self._variables()]
            checkpoints.save(packed(self.progress))
            tell(on_epoch, figures)

    def _variables(self) -> list[Any]:
        parts = (self._generator, self._critic, self.averaged, self._paints, self._doubts)
        return [variable for part in parts for variable in part.variables]

    def _epoch(self) -> dict[str, float]:
        done, started = len(self.progress.history), self._clock()
        rate = schedule.learning_rate(self._settings, self.progress.history)
        self._paints.learning_rate, self._doubts.learning_rate = rate, rate * CRITIC_RATE
        losses = [
            self._update(pictures, classes, tf.constant(done * UPDATES_AN_EPOCH + at, tf.int64))
            for at, (pictures, classes) in enumerate(heard(self._fed(done), self._on_step))
        ]
        critic_loss, loss = np.mean(np.array(losses), axis=0)
        self.epochs_s.append(self._clock() - started)
        return {"epoch": done + 1, "loss": float(loss), "critic_loss": float(critic_loss), "learning_rate": rate}

    def _fed(self, epoch: int) -> Iterator[Fed]:
        """Whole batches, from as many passes over the shards as an epoch's updates take."""
        passes = (self._reader.shuffled(self._settings.seed, epoch * _PASSES + at) for at in count())
        rows: Iterator[Row] = chain.from_iterable(passes)
        for batch in islice(batches(rows, self._settings.batch), UPDATES_AN_EPOCH):
            yield grey(batch.raw, Scaling()), one_hot(batch.labels, self._n_classes)

    def _updated(self, real: Tensor, classes: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """One update of the critic, then one of the generator, by the same pictures; the losses of both.

        Source: hinge losses, Lim & Ye 2017, arXiv:1705.02894; classes of the synthetic pictures are those of the real.
        """
        seeds = tf.random.experimental.stateless_split(tf.stack([tf.constant(self._settings.seed, tf.int64), step]), 4)
        noise = tf.random.stateless_normal((tf.shape(classes)[0], gan.NOISE), seeds[0])
        with tf.GradientTape() as tape:
            painted = self._generator([noise, classes], training=True)
            critic_loss = self._doubted(real, tf.stop_gradient(painted), classes, seeds[1:3])
            score, named = self._critic([seen(painted, seeds[3]), classes], training=False)
            loss = -tf.reduce_mean(score)
            whole = loss + NAMED * _misnamed(classes, named)
        _step(self._paints, tape, whole, self._generator)
        for kept, new in zip(self.averaged.weights, self._generator.weights, strict=True):
            kept.assign(KEPT * kept + (1 - KEPT) * new)
        return critic_loss, loss

    def _doubted(self, real: Tensor, painted: Tensor, classes: Tensor, seeds: Tensor) -> Tensor:
        """The critic's loss on both kinds of pictures, from which it has then learnt."""
        with tf.GradientTape() as tape:
            of_real, named = self._critic([seen(real, seeds[0]), classes], training=True)
            of_painted, _ = self._critic([seen(painted, seeds[1]), classes], training=True)
            loss = tf.reduce_mean(tf.nn.relu(1 - of_real)) + tf.reduce_mean(tf.nn.relu(1 + of_painted))
            whole = loss + _misnamed(classes, named)
        _step(self._doubts, tape, whole, self._critic)
        return loss


def _misnamed(classes: Tensor, logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(classes, logits))


def _step(optimizer: Any, tape: Any, loss: Tensor, model: Any) -> None:
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
