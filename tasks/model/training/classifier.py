"""Training one network on shards, so that the same specification gives the same weights, bit for bit.

TensorFlow's chatter is silenced by TF_CPP_MIN_LOG_LEVEL in the environment of the process, before it is imported.
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
from tasks.model.inputs import InputShapes, RawBatch, Scaling, encoded, measured_scaling
from tasks.model.spec import TrainingSettings, TrainingSpec, batch_for, epochs_for
from tasks.model.training import schedule
from tasks.model.training.checkpoint import NOWHERE, Checkpoints, Progress, packed, restored, variables_of
from tasks.model.training.feed import Feed, Feeds, balanced_weights
from tasks.model.training.machine import device, is_half_precision_fast, peak_rss_bytes
from tasks.model.training.schedule import OnEpoch, OnStep, heard, tell, unheard
from tasks.model.training.stream import ShardSet
from tasks.model.training.training_sets import Sides, surveyed_sides
from tasks.model.zoo import ModelEntry, built, entry

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


def train(
    spec: TrainingSpec, on_epoch: OnEpoch, clock: Callable[[], float], checkpoints: Checkpoints = NOWHERE,
    on_step: OnStep = unheard,
) -> Trained:  # fmt: skip
    """The network of the best epoch: lowest validation loss, or the last epoch where there is nothing to validate on.

    on_epoch: called after each epoch with its number (from 1) and loss, accuracy, val_loss, val_accuracy (where there
    is validation) and learning_rate; what it raises ends the training and is passed on. Epochs that another process
    has done are told first.
    clock: seconds from any start, `time.perf_counter`.
    checkpoints: where progress is kept after each epoch, before `on_epoch` hears of it, and where it is taken up; the
    weights are those of a training that nothing ever interrupted.
    on_step: called for each batch and each shard, from another thread too: that the training goes on.

    Sets the process-wide random seeds and makes TensorFlow deterministic, for good. Memory does not grow with the
    number of examples.
    Raises Impossible for an unknown model, pictures too small for it, training examples of fewer than two classes,
    labels without a name, shards of several pipelines, and a loss that is no longer a number; Damaged where a shard
    is not what was written.
    """
    model_entry = entry(spec.model)
    sides = surveyed_sides(spec)
    _make_repeatable(spec.settings.seed)
    scaling = _scaling(model_entry, sides.train, spec.settings.features, on_step)
    with _precision():
        model = built(model_entry, sides.train.shapes, len(spec.labels))
    fit = _Fit(model, spec.settings, _feeds(spec, sides, scaling, on_step), clock)
    fit.run(on_epoch, checkpoints)
    return Trained(
        model=_in_32_bits(model, model_entry, sides.train.shapes, len(spec.labels)),
        scaling=scaling,
        best_epoch=schedule.best_epoch(fit.progress.history),
        history=fit.progress.history,
        device=device(),
        images_per_s=sides.train.n_examples / median_but_first(fit.trainings_s),
        epoch_s=median_but_first(fit.epochs_s),
        peak_rss_bytes=peak_rss_bytes(),
        parameters=model.count_params(),
        trainable_parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        notes=sides.notes(spec),
    )


def median_but_first(seconds: list[float]) -> float:
    """Of the epochs; the first also compiles and counts only when alone, and nothing was done if there is none."""
    return statistics.median(seconds[1:] or seconds or [math.nan])


def _make_repeatable(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def _precision() -> Iterator[None]:
    """Layers built meanwhile compute in 16 bits where that is fast; weights stay in 32, and Keras scales the loss."""
    before = keras.config.dtype_policy()
    if is_half_precision_fast():
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _in_32_bits(model: Any, model_entry: ModelEntry, shapes: InputShapes, n_classes: int) -> Any:
    """The model, or where it computes in 16 bits the same one as it is judged and kept: good for any machine."""
    if not is_half_precision_fast():
        return model
    same = model_entry.build(shapes, n_classes)
    same.set_weights(model.get_weights())
    return same


def _scaling(model_entry: ModelEntry, shards: ShardSet, features: str, on_step: OnStep) -> Scaling:
    if "features" not in model_entry.inputs:
        return Scaling()
    read = heard(map(read_shard, shards.files), on_step)
    rows = (RawBatch(one.spectrograms, one.features, encoded(one.metadata)) for one in read)
    return measured_scaling((raw.chosen(features) for raw in rows), features)


def _feeds(spec: TrainingSpec, sides: Sides, scaling: Scaling, on_step: OnStep) -> Feeds:
    weights = np.ones(len(spec.labels), np.float32)
    if spec.settings.class_weights:
        weights = balanced_weights(sides.train.label_counts, len(spec.labels))
    inputs = entry(spec.model).inputs
    return Feeds(*(Feed(shards, inputs, scaling, weights, on_step) for shards in (sides.train, sides.valid)))


class _Fit:
    """One network on its way, epoch by epoch."""

    def __init__(self, model: Any, settings: TrainingSettings, feeds: Feeds, clock: Callable[[], float]) -> None:
        self._model = model
        self._settings = replace(settings, epochs=epochs_for(feeds.train.n_examples, settings))
        self._feeds = feeds
        self._clock = clock
        self._batch = batch_for(feeds.train.n_examples, settings.batch)
        self.progress = Progress()
        self.epochs_s: list[float] = []
        self.trainings_s: list[float] = []
        model.compile(
            optimizer=keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
            metrics=["accuracy"],
        )

    def run(self, on_epoch: OnEpoch, checkpoints: Checkpoints) -> None:
        """Leaves the model with the weights of the best epoch."""
        self.progress = restored(checkpoints, variables_of(self._model)) or self.progress
        history = self.progress.history
        for figures in history:
            tell(on_epoch, figures)
        while not schedule.is_over(self._settings, history):
            figures = self._epoch()
            schedule.require_finite(figures)
            history.append(figures)
            if schedule.best_epoch(history) == len(history):
                self.progress.best = self._model.get_weights()
            self.progress.variables = [np.array(variable) for variable in variables_of(self._model)]
            checkpoints.save(packed(self.progress))
            tell(on_epoch, figures)
        self._model.set_weights(self.progress.best)

    def _epoch(self) -> dict[str, float]:
        done, settings = len(self.progress.history), self._settings
        rate = schedule.learning_rate(settings, self.progress.history)
        self._model.optimizer.learning_rate = rate
        started = self._clock()
        with self._feeds.own_errors():
            examples = self._feeds.train.epoch(settings, done, self._batch)
            fitted = self._model.fit(examples, shuffle=False, verbose=0).history
            self.trainings_s.append(self._clock() - started)
            judged = self._validated()
        self.epochs_s.append(self._clock() - started)
        seen = {name: float(values[-1]) for name, values in fitted.items()}
        return {"epoch": done + 1, **seen, **judged, "learning_rate": rate}

    def _validated(self) -> dict[str, float]:
        if not self._feeds.valid.n_examples:
            return {}
        examples = self._feeds.valid.one_pass(VALIDATION_BATCH)
        judged = self._model.evaluate(examples, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in judged.items()}
