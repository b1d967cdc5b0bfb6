"""Stream shard rows to Keras: a tf.data pipeline that prepares a few batches ahead of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.model.inputs import INPUTS, Floats, RawBatch, Scaling, keras_arguments, prepare_inputs
from tasks.model.spec import TrainingSettings
from tasks.model.training.allocator import keep_large_blocks
from tasks.model.training.augmentation import Target, augmented
from tasks.model.training.schedule import OnStep, ignore_step, with_step_callback
from tasks.model.training.stream import Batch, Reader, ShardSet, batches

BATCHES_AHEAD = 4
_AUGMENTATION = 1  # Seeds random numbers independent of those of the order.

KerasBatch = tuple[Any, Floats, Floats]


class Feed:
    """One subset of a training as batches of (inputs by name, one-hot targets, example weights).

    error: the original exception of the reading thread, which TensorFlow would replace with its own.
    on_step: called for each batch when it is requested, a few batches before the network uses it.
    """

    def __init__(
        self, shards: ShardSet, inputs: tuple[str, ...], scaling: Scaling, class_weights: Floats,
        on_step: OnStep = ignore_step,
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
        """Number of examples in one pass."""
        return self._shards.n_examples

    def epoch(self, settings: TrainingSettings, epoch: int, size: int) -> Any:
        """Return a tf.data.Dataset of every example once, shuffled and augmented for this epoch."""

        def source() -> Iterator[KerasBatch]:
            draw = np.random.default_rng([settings.seed, epoch, _AUGMENTATION])
            for batch in batches(self._reader.shuffled(settings.seed, epoch), size):
                yield self._inputs_and_targets(*augmented(batch.raw, self._target(batch), settings, draw))

        return self._dataset(source, size)

    def one_pass(self, size: int) -> Any:
        """Return a tf.data.Dataset of every example once, in order and unchanged; it can be iterated again."""

        def source() -> Iterator[KerasBatch]:
            for batch in batches(self._reader.in_order(), size):
                yield self._inputs_and_targets(batch.raw, self._target(batch))

        return self._dataset(source, size)

    def _dataset(self, source: Callable[[], Iterator[KerasBatch]], size: int) -> Any:
        def stream() -> Iterator[KerasBatch]:
            keep_large_blocks()
            try:
                yield from with_step_callback(source(), self._on_step)
            except Exception as error:
                self.error = error
                raise

        dataset = tf.data.Dataset.from_generator(stream, output_signature=self._signature())
        cardinality = tf.data.experimental.assert_cardinality(self._shards.n_batches(size))
        return dataset.apply(cardinality).prefetch(BATCHES_AHEAD).with_options(_options_without_autotune())

    def _target(self, batch: Batch) -> Target:
        return Target(one_hot(batch.labels, len(self._weights)), self._weights[batch.labels])

    def _inputs_and_targets(self, raw: RawBatch, target: Target) -> KerasBatch:
        return keras_arguments(prepare_inputs(raw, self._inputs, self._scaling)), target.classes, target.weights

    def _signature(self) -> Any:
        shapes = {name: INPUTS[name].shape(self._shards.shapes) for name in self._inputs}
        inputs = {name: tf.TensorSpec((None, *shape), tf.float32) for name, shape in shapes.items()}
        return (
            keras_arguments(inputs),
            tf.TensorSpec((None, len(self._weights)), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        )


def _options_without_autotune() -> Any:
    """Disable tf.data's autotune thread, which has nothing to tune here.

    A pass may end only when that thread wakes from a sleep of 10, 20, 40, … ms; this took up to half of a pass
    (docs/notes/performance.md).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


@dataclass(frozen=True)
class Feeds:
    """The feeds of the training and the validation subset."""

    train: Feed
    valid: Feed

    @contextmanager
    def reading_errors(self) -> Iterator[None]:
        """Replace an error of TensorFlow by the original error of the reading thread.

        Raises: Damaged if a shard is not what was written; TensorFlow's error if no reading failed.
        """
        try:
            yield
        except tf.errors.OpError as error:
            raise (self.train.error or self.valid.error or error) from None


def one_hot(labels: NDArray[np.int64], n_classes: int) -> Floats:
    """Encode labels as (n, n_classes) float32.

    >>> one_hot(np.array([1, 0]), 2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    return np.eye(n_classes, dtype=np.float32)[labels]


def balanced_weights(label_counts: dict[int, int], n_classes: int) -> Floats:
    """Return (n_classes,) float32 weights: equal total weight per class, 1 on average over the examples.

    Classes without examples have weight 1.

    >>> balanced_weights({0: 12, 1: 4}, 3).tolist()[1:]
    [2.0, 1.0]
    """
    total, present = sum(label_counts.values()), len(label_counts)
    weights = np.ones(n_classes, np.float32)
    for label, n in label_counts.items():
        weights[label] = total / (present * n)
    return weights
