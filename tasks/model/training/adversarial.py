"""Train a generator against a critic; the same specification gives bitwise identical weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.model.inputs import Floats, Scaling, spectrogram_images
from tasks.model.networks import gan
from tasks.model.spec import TrainingSettings, TrainingSpec
from tasks.model.training import schedule
from tasks.model.training.checkpoint import NO_CHECKPOINTS, Checkpoints, Progress, encode_progress, restore_progress
from tasks.model.training.classifier import TrainedModel, median_epoch_s
from tasks.model.training.differentiable import Tensor, augment_for_critic
from tasks.model.training.feed import one_hot
from tasks.model.training.machine import device, peak_rss_bytes
from tasks.model.training.schedule import OnEpoch, OnStep, ignore_step, report_epoch, with_step_callback
from tasks.model.training.stream import Reader, Row, ShardSet, batches
from tasks.model.training.training_sets import read_training_sets

UPDATES_PER_EPOCH = 64
"""Independent of the number of examples, which bounds the cost of a training and the loss if its worker dies."""
CRITIC_RATE_FACTOR = 2.0
"""The critic's learning rate relative to the generator's. Source: Heusel et al. 2017, arXiv:1706.08500."""
AVERAGE_DECAY = 0.99
"""Decay of the moving average of the generator's weights. Source: Yazici et al. 2019, arXiv:1806.04498."""
CLASS_LOSS_WEIGHT = 0.2
"""Weight of the generator's class loss; larger values make the spectrograms of a class more alike."""
_BETAS = {"beta_1": 0.0, "beta_2": 0.99}
_PASSES_PER_EPOCH = 1 << 20

GanBatch = tuple[Floats, Floats]


def train(
    spec: TrainingSpec, on_epoch: OnEpoch, clock: Callable[[], float], checkpoints: Checkpoints = NO_CHECKPOINTS,
    on_step: OnStep = ignore_step,
) -> TrainedModel:  # fmt: skip
    """Train a generator and return the moving average of its weights after the last epoch.

    Arguments as for `classifier.train`. Only the train shards are used. Training runs for exactly `epochs` of 64
    updates and reads only these settings: epochs, batch, learning_rate, schedule and seed.
    `on_epoch` receives loss (of the generator), critic_loss and learning_rate.

    Sets the process-wide random seeds and enables TensorFlow's deterministic ops; neither is reset.
    Memory does not grow with the number of examples.
    Raises: Impossible as `classifier.train` does; Damaged if a shard is not what was written.
    """
    sets = read_training_sets(spec)
    keras.utils.set_random_seed(spec.settings.seed)
    tf.config.experimental.enable_op_determinism()
    fit = _GanFit(sets.train, len(spec.labels), spec.settings, clock, on_step)
    fit.run(on_epoch, checkpoints)
    generator = fit.averaged
    return TrainedModel(
        model=generator,
        scaling=Scaling(),
        best_epoch=len(fit.progress.history),
        history=fit.progress.history,
        device=device(),
        images_per_s=UPDATES_PER_EPOCH * spec.settings.batch / median_epoch_s(fit.epochs_s),
        epoch_s=median_epoch_s(fit.epochs_s),
        peak_rss_bytes=peak_rss_bytes(),
        parameters=generator.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in generator.trainable_weights),
        notes=(),
    )


class _GanFit:
    """The training loop of generator and critic.

    averaged: the generator with averaged weights, the result of the training.
    """

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
        self._generator_optimizer = keras.optimizers.Adam(rate, **_BETAS)
        self._critic_optimizer = keras.optimizers.Adam(rate * CRITIC_RATE_FACTOR, **_BETAS)
        self._generator_optimizer.build(self._generator.trainable_variables)
        self._critic_optimizer.build(self._critic.trainable_variables)
        self._update = tf.function(self._update_networks, reduce_retracing=True)
        self.progress = Progress()
        self.epochs_s: list[float] = []

    def run(self, on_epoch: OnEpoch, checkpoints: Checkpoints) -> None:
        """Train the remaining epochs."""
        self.progress = restore_progress(checkpoints, self._variables()) or self.progress
        for values in self.progress.history:
            report_epoch(on_epoch, values)
        while not schedule.is_finished(self._settings, self.progress.history):
            values = self._epoch()
            schedule.require_finite(values)
            self.progress.history.append(values)
            self.progress.variables = [np.array(variable) for variable in self._variables()]
            checkpoints.save(encode_progress(self.progress))
            report_epoch(on_epoch, values)

    def _variables(self) -> list[Any]:
        parts = (self._generator, self._critic, self.averaged, self._generator_optimizer, self._critic_optimizer)
        return [variable for part in parts for variable in part.variables]

    def _epoch(self) -> dict[str, float]:
        done, started = len(self.progress.history), self._clock()
        rate = schedule.learning_rate(self._settings, self.progress.history)
        self._generator_optimizer.learning_rate, self._critic_optimizer.learning_rate = rate, rate * CRITIC_RATE_FACTOR
        losses = [
            self._update(spectrograms, classes, tf.constant(done * UPDATES_PER_EPOCH + step, tf.int64))
            for step, (spectrograms, classes) in enumerate(with_step_callback(self._batches(done), self._on_step))
        ]
        critic_loss, loss = np.mean(np.array(losses), axis=0)
        self.epochs_s.append(self._clock() - started)
        return {"epoch": done + 1, "loss": float(loss), "critic_loss": float(critic_loss), "learning_rate": rate}

    def _batches(self, epoch: int) -> Iterator[GanBatch]:
        """Yield the whole batches of one epoch, from as many passes over the shards as needed."""
        passes = (self._reader.shuffled(self._settings.seed, epoch * _PASSES_PER_EPOCH + at) for at in count())
        rows: Iterator[Row] = chain.from_iterable(passes)
        for batch in islice(batches(rows, self._settings.batch), UPDATES_PER_EPOCH):
            yield spectrogram_images(batch.raw, Scaling()), one_hot(batch.labels, self._n_classes)

    def _update_networks(self, real: Tensor, classes: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Update the critic, then the generator, on one batch; return both losses.

        The synthetic spectrograms have the classes of the real ones in the batch.
        Source: hinge losses, Lim & Ye 2017, arXiv:1705.02894.
        """
        seeds = tf.random.experimental.stateless_split(tf.stack([tf.constant(self._settings.seed, tf.int64), step]), 4)
        noise = tf.random.stateless_normal((tf.shape(classes)[0], gan.NOISE), seeds[0])
        with tf.GradientTape() as tape:
            synthetic = self._generator([noise, classes], training=True)
            critic_loss = self._update_critic(real, tf.stop_gradient(synthetic), classes, seeds[1:3])
            score, logits = self._critic([augment_for_critic(synthetic, seeds[3]), classes], training=False)
            loss = -tf.reduce_mean(score)
            total = loss + CLASS_LOSS_WEIGHT * _class_loss(classes, logits)
        _step(self._generator_optimizer, tape, total, self._generator)
        for average, new in zip(self.averaged.weights, self._generator.weights, strict=True):
            average.assign(AVERAGE_DECAY * average + (1 - AVERAGE_DECAY) * new)
        return critic_loss, loss

    def _update_critic(self, real: Tensor, synthetic: Tensor, classes: Tensor, seeds: Tensor) -> Tensor:
        """Update the critic on real and synthetic spectrograms; return its loss before the update."""
        with tf.GradientTape() as tape:
            real_score, logits = self._critic([augment_for_critic(real, seeds[0]), classes], training=True)
            synthetic_score, _ = self._critic([augment_for_critic(synthetic, seeds[1]), classes], training=True)
            loss = tf.reduce_mean(tf.nn.relu(1 - real_score)) + tf.reduce_mean(tf.nn.relu(1 + synthetic_score))
            total = loss + _class_loss(classes, logits)
        _step(self._critic_optimizer, tape, total, self._critic)
        return loss


def _class_loss(classes: Tensor, logits: Tensor) -> Tensor:
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(classes, logits))


def _step(optimizer: Any, tape: Any, loss: Tensor, model: Any) -> None:
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
