"""Train a classifier on shards; the same specification gives bitwise identical weights.

Set TF_CPP_MIN_LOG_LEVEL in the environment of the process to silence TensorFlow; it is read at import.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tasks.dataset.shards.shard import read_shard
from tasks.model.inputs import InputShapes, RawBatch, Scaling, encode_metadata, fit_scaling
from tasks.model.spec import TrainingSettings, TrainingSpec, batch_for, epochs_for
from tasks.model.training import schedule
from tasks.model.training.checkpoint import (
    NO_CHECKPOINTS,
    Checkpoints,
    Progress,
    encode_progress,
    restore_progress,
    variables_of,
)
from tasks.model.training.feed import Feed, Feeds, balanced_weights
from tasks.model.training.machine import device, is_half_precision_fast, peak_rss_bytes
from tasks.model.training.normalisation import NormalisationStatistics
from tasks.model.training.schedule import OnEpoch, OnStep, ignore_step, report_epoch, with_step_callback
from tasks.model.training.stream import ShardSet
from tasks.model.training.training_sets import TrainingSets, read_training_sets
from tasks.model.zoo import ModelEntry, build_network, entry

__all__ = ["TrainedModel", "TrainingSettings", "TrainingSpec", "train"]

VALIDATION_BATCH = 256


@dataclass(frozen=True)
class TrainedModel:
    """The result of a training.

    model: a keras.Model with the weights of `best_epoch` (counted from 1).
    scaling: for its inputs; stored in the bundle.
    history: one mapping per epoch, with `epoch` and the values passed to `on_epoch`.
    device: "CPU", or "GPU: " and its name.
    epoch_s: median seconds per epoch, validation included, without the first epoch, which compiles the network, unless
    it is the only one.  images_per_s: training examples per second, likewise.
    peak_rss_bytes: peak memory of this process since it started.
    notes: sentences for readers of the results.
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


def train(
    spec: TrainingSpec, on_epoch: OnEpoch, clock: Callable[[], float], checkpoints: Checkpoints = NO_CHECKPOINTS,
    on_step: OnStep = ignore_step,
) -> TrainedModel:  # fmt: skip
    """Train a network and return its best epoch: the lowest validation loss, or the last epoch without validation.

    on_epoch: called after each epoch with its number (from 1) and loss, accuracy, val_loss, val_accuracy (if there is
    validation) and learning_rate. An exception from it ends the training. It is first called for the epochs of a
    loaded checkpoint.
    clock: returns seconds from any origin, as `time.perf_counter` does.
    checkpoints: storage for the progress, written before `on_epoch` is called. A resumed training gives the same
    weights as an uninterrupted one.
    on_step: called for each batch and each shard, also from another thread, to show that the training makes progress.

    Sets the process-wide random seeds and enables TensorFlow's deterministic ops; neither is reset.
    Memory does not grow with the number of examples.
    Raises: Impossible for an unknown model, spectrograms too small for it, training examples of fewer than two classes,
    labels without a name, shards of several pipelines, and a loss that is not finite; Damaged if a shard is not what
    was written.
    """
    model_entry = entry(spec.model)
    sets = read_training_sets(spec)
    keras.utils.set_random_seed(spec.settings.seed)
    tf.config.experimental.enable_op_determinism()
    scaling = _scaling(model_entry, sets.train, spec.settings.features, on_step)
    with _precision():
        model = build_network(model_entry, sets.train.shapes, len(spec.labels))
    fit = _Fit(model, spec.settings, _feeds(spec, sets, scaling, on_step), clock)
    fit.run(on_epoch, checkpoints)
    return TrainedModel(
        model=_float32_model(model, model_entry, sets.train.shapes, len(spec.labels)),
        scaling=scaling,
        best_epoch=schedule.best_epoch(fit.progress.history),
        history=fit.progress.history,
        device=device(),
        images_per_s=sets.train.n_examples / median_epoch_s(fit.training_epochs_s),
        epoch_s=median_epoch_s(fit.epochs_s),
        peak_rss_bytes=peak_rss_bytes(),
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        notes=sets.notes(spec),
    )


def median_epoch_s(seconds: list[float]) -> float:
    """Return the median of the epoch times without the first, which includes compilation, unless it is the only one.

    Returns NaN for no epoch.
    """
    return statistics.median(seconds[1:] or seconds or [math.nan])


@contextmanager
def _precision() -> Iterator[None]:
    """Build layers with mixed precision if the GPU supports it; weights stay in float32 and Keras scales the loss."""
    before = keras.config.dtype_policy()
    if is_half_precision_fast():
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _float32_model(model: Any, model_entry: ModelEntry, shapes: InputShapes, n_classes: int) -> Any:
    """Return the model in float32, for evaluation and for machines without fast float16."""
    if not is_half_precision_fast():
        return model
    same = model_entry.build(shapes, n_classes)
    same.set_weights(model.get_weights())
    return same


def _scaling(model_entry: ModelEntry, shards: ShardSet, features: str, on_step: OnStep) -> Scaling:
    if "features" not in model_entry.inputs:
        return Scaling()
    read = with_step_callback(map(read_shard, shards.files), on_step)
    rows = (RawBatch(one.spectrograms, one.features, encode_metadata(one.metadata)) for one in read)
    return fit_scaling((raw.feature_columns(features) for raw in rows), features)


def _feeds(spec: TrainingSpec, sets: TrainingSets, scaling: Scaling, on_step: OnStep) -> Feeds:
    weights = np.ones(len(spec.labels), np.float32)
    if spec.settings.class_weights:
        weights = balanced_weights(sets.train.label_counts, len(spec.labels))
    inputs = entry(spec.model).inputs
    return Feeds(*(Feed(shards, inputs, scaling, weights, on_step) for shards in (sets.train, sets.valid)))


class _Fit:
    """The training loop of one network."""

    def __init__(self, model: Any, settings: TrainingSettings, feeds: Feeds, clock: Callable[[], float]) -> None:
        self._model = model
        self._statistics = NormalisationStatistics(model)
        self._settings = replace(settings, epochs=epochs_for(feeds.train.n_examples, settings))
        self._feeds = feeds
        self._clock = clock
        self._batch = batch_for(feeds.train.n_examples, settings.batch)
        self.progress = Progress()
        self.epochs_s: list[float] = []
        self.training_epochs_s: list[float] = []
        model.compile(
            optimizer=keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
            metrics=["accuracy"],
        )

    def run(self, on_epoch: OnEpoch, checkpoints: Checkpoints) -> None:
        """Train the remaining epochs, then load the weights of the best epoch."""
        self.progress = restore_progress(checkpoints, variables_of(self._model)) or self.progress
        history = self.progress.history
        for values in history:
            report_epoch(on_epoch, values)
        while not schedule.is_finished(self._settings, history):
            values = self._epoch()
            schedule.require_finite(values)
            history.append(values)
            if schedule.best_epoch(history) == len(history):
                self.progress.best = self._model.get_weights()
            self.progress.variables = [np.array(variable) for variable in variables_of(self._model)]
            checkpoints.save(encode_progress(self.progress))
            report_epoch(on_epoch, values)
        self._model.set_weights(self.progress.best)

    def _epoch(self) -> dict[str, float]:
        done, settings = len(self.progress.history), self._settings
        rate = schedule.learning_rate(settings, self.progress.history)
        self._model.optimizer.learning_rate = rate
        started = self._clock()
        with self._feeds.reading_errors():
            examples = self._feeds.train.epoch(settings, done, self._batch)
            fitted = self._model.fit(examples, shuffle=False, verbose=0).history
            self.training_epochs_s.append(self._clock() - started)
            validation = self._validate(done)
        self.epochs_s.append(self._clock() - started)
        seen = {name: float(values[-1]) for name, values in fitted.items()}
        return {"epoch": done + 1, **seen, **validation, "learning_rate": rate}

    def _validate(self, epoch: int) -> dict[str, float]:
        if not self._feeds.valid.n_examples:
            return {}
        self._statistics.recompute(self._feeds.train.epoch(self._settings, epoch, self._batch))
        examples = self._feeds.valid.one_pass(VALIDATION_BATCH)
        validation = self._model.evaluate(examples, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in validation.items()}
