"""Training one network on shards, so that the same specification gives the same weights, bit for bit.

TensorFlow's chatter is silenced by TF_CPP_MIN_LOG_LEVEL in the environment of the process, before it is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.dataset.shard import read_shard
from tasks.model.epochs import EpochLog, OnEpoch
from tasks.model.feed import Feed, Feeds, balanced_weights
from tasks.model.inputs import Scaling, measured_scaling
from tasks.model.machine import device, peak_rss_bytes
from tasks.model.sides import Sides, surveyed_sides
from tasks.model.spec import TrainingSettings, TrainingSpec, batch_for
from tasks.model.stream import ShardSet
from tasks.model.zoo import ModelEntry, entry

__all__ = ["Trained", "TrainingSettings", "TrainingSpec", "train"]

VALIDATION_BATCH = 256


@dataclass(frozen=True)
class Trained:
    """What came out of a training.

    model: a keras.Model with the weights of `best_epoch` (counted from 1).
    scaling: how its inputs are made; belongs into the bundle.
    history: for each epoch, `epoch` and what `on_epoch` was told.
    device: "CPU", or "GPU: " and its name.  epoch_s: the median epoch's seconds, validation included; the first
    epoch, which also compiles, counts only when it is the only one.  images_per_s: training examples a second of it.
    peak_rss_bytes: the most memory this process ever held, not only in this training.
    notes: what a reader of the results should know, in sentences.
    """

    model: Any
    scaling: Scaling
    best_epoch: int
    history: list[dict[str, float]]
    device: str
    images_per_s: float
    epoch_s: float
    peak_rss_bytes: int
    parameters: int
    trainable_parameters: int
    notes: tuple[str, ...]


def train(spec: TrainingSpec, on_epoch: OnEpoch, clock: Callable[[], float]) -> Trained:
    """The network of the best epoch: lowest validation loss, or the last epoch where there is nothing to validate on.

    on_epoch: called after each epoch with its number (from 1) and loss, accuracy, val_loss, val_accuracy (where there
    is validation) and learning_rate; what it raises ends the training and is passed on.
    clock: seconds from any start, `time.perf_counter`.

    Sets the process-wide random seeds and makes TensorFlow deterministic, for good. Memory does not grow with the
    number of examples.
    Raises Impossible for an unknown model, training examples of fewer than two classes, labels without a name, shards
    of several pipelines, and a loss that is no longer a number; ShardError where a shard cannot be read.
    """
    model_entry = entry(spec.model)
    sides = surveyed_sides(spec)
    _make_repeatable(spec.settings.seed)
    scaling = _scaling(model_entry, sides.train)
    model = model_entry.build(sides.train.shapes, len(spec.labels))
    log = EpochLog(on_epoch, clock)
    _fit(model, spec.settings, _feeds(spec, sides, scaling), log)
    return Trained(
        model=model,
        scaling=scaling,
        best_epoch=log.best_epoch,
        history=log.history,
        device=device(),
        images_per_s=sides.train.n_examples / log.training_s,
        epoch_s=log.epoch_s,
        peak_rss_bytes=peak_rss_bytes(),
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        notes=sides.notes(spec),
    )


def _make_repeatable(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _scaling(model_entry: ModelEntry, shards: ShardSet) -> Scaling:
    if "features" not in model_entry.inputs:
        return Scaling()
    return measured_scaling(shard.features for shard in map(read_shard, shards.paths))


def _feeds(spec: TrainingSpec, sides: Sides, scaling: Scaling) -> Feeds:
    weights = np.ones(len(spec.labels), np.float32)
    if spec.settings.class_weights:
        weights = balanced_weights(sides.train.label_counts, len(spec.labels))
    inputs = entry(spec.model).inputs
    return Feeds(*(Feed(shards, inputs, scaling, weights) for shards in (sides.train, sides.valid)))


def _fit(model: Any, settings: TrainingSettings, feeds: Feeds, log: EpochLog) -> None:
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
    )
    has_validation = feeds.valid.n_examples > 0
    batch = batch_for(feeds.train.n_examples, settings.batch)
    with feeds.own_errors():
        model.fit(
            feeds.train.endless(settings.seed, batch),
            steps_per_epoch=math.ceil(feeds.train.n_examples / batch),
            epochs=settings.epochs,
            validation_data=feeds.valid.one_pass(VALIDATION_BATCH) if has_validation else None,
            callbacks=[
                log.callback(lambda: float(model.optimizer.learning_rate)),
                *(_validation_callbacks(settings) if has_validation else ()),
            ],
            shuffle=False,
            verbose=0,
        )


def _validation_callbacks(settings: TrainingSettings) -> tuple[Any, ...]:
    return (
        keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss", factor=settings.plateau_factor, patience=settings.plateau_patience, min_delta=0
        ),
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.early_stop_patience, restore_best_weights=True
        ),
    )
