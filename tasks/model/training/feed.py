"""Batches for Keras: a stream of rows as a tf.data pipeline that stays a few batches ahead of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.model.inputs import INPUTS, Floats, RawBatch, Scaling, as_keras_takes, prepared
from tasks.model.spec import TrainingSettings
from tasks.model.training.augmentation import Target, augmented
from tasks.model.training.kept_memory import keep_large_blocks
from tasks.model.training.schedule import OnStep, heard, unheard
from tasks.model.training.stream import Batch, Reader, ShardSet, batches

BATCHES_AHEAD = 4
_AUGMENTATION = 1  # a stream of random numbers beside that of the order

Fed = tuple[Any, Floats, Floats]


class Feed:
    """One side of a training as (inputs by name, one-hot targets, weight of each example).

    TensorFlow reports an error of the reading thread as its own kind; `error` keeps the one that was raised.
    on_step: hears of each batch as it is asked for, which is a few before the network takes it.
    """

    def __init__(
        self, shards: ShardSet, inputs: tuple[str, ...], scaling: Scaling, class_weights: Floats,
        on_step: OnStep = unheard,
    ) -> None:  # fmt: skip
        self._shards = shards
        self._inputs = inputs
        self._scaling = scaling
        self._weights = class_weights
        self._reader = Reader(shards)
        self._on_step = on_step
        self.error: Exception | None = None

    @property
    def n_examples(self) -> int:
        """In one pass."""
        return self._shards.n_examples

    def epoch(self, settings: TrainingSettings, epoch: int, size: int) -> Any:
        """Every example once, shuffled and augmented as this epoch of these settings: a tf.data.Dataset."""

        def source() -> Iterator[Fed]:
            draw = np.random.default_rng([settings.seed, epoch, _AUGMENTATION])
            for batch in batches(self._reader.shuffled(settings.seed, epoch), size):
                yield self._fed(*augmented(batch.raw, self._target(batch), settings, draw))

        return self._dataset(source, size)

    def one_pass(self, size: int) -> Any:
        """Every example once, as they stand: a tf.data.Dataset that can be iterated again."""

        def source() -> Iterator[Fed]:
            for batch in batches(self._reader.in_order(), size):
                yield self._fed(batch.raw, self._target(batch))

        return self._dataset(source, size)

    def _dataset(self, source: Callable[[], Iterator[Fed]], size: int) -> Any:
        def fed() -> Iterator[Fed]:
            keep_large_blocks()
            try:
                yield from heard(source(), self._on_step)
            except Exception as error:
                self.error = error
                raise

        made = tf.data.Dataset.from_generator(fed, output_signature=self._signature())
        known = tf.data.experimental.assert_cardinality(self._shards.n_batches(size))
        return made.apply(known).prefetch(BATCHES_AHEAD).with_options(_untuned())

    def _target(self, batch: Batch) -> Target:
        return Target(one_hot(batch.labels, len(self._weights)), self._weights[batch.labels])

    def _fed(self, raw: RawBatch, target: Target) -> Fed:
        return as_keras_takes(prepared(raw, self._inputs, self._scaling)), target.classes, target.weights

    def _signature(self) -> Any:
        shapes = {name: INPUTS[name].shape(self._shards.shapes) for name in self._inputs}
        inputs = {name: tf.TensorSpec((None, *shape), tf.float32) for name, shape in shapes.items()}
        return (
            as_keras_takes(inputs),
            tf.TensorSpec((None, len(self._weights)), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        )


def _untuned() -> Any:
    """Without the thread that tunes buffers: it sleeps 10 ms, 20, 40 and so on, and a pass may end only when it wakes.

    Nothing here is left to tune. Now and then half of a pass's time went into that (docs/notes/performance.md).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@dataclass(frozen=True)
class Feeds:
    """The two sides of a training."""

    train: Feed
    valid: Feed

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raises what went wrong in reading, in place of the error TensorFlow makes of it."""
        try:
            yield
        except tf.errors.OpError as error:
            raise (self.train.error or self.valid.error or error) from None


def one_hot(labels: NDArray[np.int64], n_classes: int) -> Floats:
    """(n, n_classes) float32, one at each label and zero elsewhere.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return np.eye(n_classes, dtype=np.float32)[labels]


def balanced_weights(label_counts: dict[int, int], n_classes: int) -> Floats:
    """(n_classes,) float32: every class that has examples weighs the same in all, and an example one on average.

    >>> balanced_weights({0: 12, 1: 4}, 3).tolist()[1:]
    [2.0, 1.0]
    """
    total, present = sum(label_counts.values()), len(label_counts)
    weights = np.ones(n_classes, np.float32)
    for label, n in label_counts.items():
        weights[label] = total / (present * n)
    return weights
