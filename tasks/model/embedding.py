"""Examples as a trained classifier sees them, before it decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Shard, read_shard
from tasks.model.bundle.bundle import Bundle
from tasks.model.inputs import Floats, Pixels, RawBatch, as_keras_takes, prepared

MOST_EXAMPLES = 5_000
"""Of each side: distances between distributions hardly change beyond, and memory has a bound."""
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Seen:
    """Examples and what a classifier makes of them.

    vectors: (n, d) float32.  labels: (n,) int64, the truth.  answers: (n,) int64, what the classifier calls them.
    pictures: (n, mel, frame) uint8.
    """

    vectors: Floats
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    pictures: Pixels


def seen_by(bundle: Bundle, shards: Sequence[StoredFile], most: int = MOST_EXAMPLES) -> Seen:
    """The first so many examples that are no augmented copies, as the bundle's network sees them.

    The vectors are what its global average pooling gives: each filter's mean over the picture. So a sound that
    comes earlier or later is the same to them, and a copy that was only moved in time is still found to be one.
    Raises Impossible where the network has no such layer, or the shards hold no example; Damaged where one is
    not what was written.
    """
    network, parts, left = _with_embedding(bundle.model), [], most
    for shard in map(read_shard, shards):  # one is in memory at a time, however many copies lie between originals
        rows = np.flatnonzero(shard.copies == 0)[:left]
        parts += [_asked(bundle, network, shard, rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)]
        left -= len(rows)
        if not left:
            break
    if not parts:
        raise Impossible("the shards hold no example that is no copy; there is nothing to look at")
    return Seen(*(np.concatenate([getattr(part, name) for part in parts]) for name in Seen.__dataclass_fields__))


def vectors_of(bundle: Bundle, shards: Sequence[StoredFile]) -> Iterator[Floats]:
    """(n, d) float32 blocks of the vectors of every example, augmented copies too; none where there is none.

    Two shards are in memory at most.
    Raises Impossible where the network has no global average pooling, Damaged where a shard is not what was written.
    """
    network = _with_embedding(bundle.model)
    for shard in map(read_shard, shards):
        rows = np.arange(len(shard.labels))
        for at in range(0, len(rows), _BATCH):
            yield _asked(bundle, network, shard, rows[at : at + _BATCH]).vectors


def _with_embedding(model: Any) -> Any:
    averages = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not averages:
        raise Impossible(f"{model.name} has no global average pooling; judge generators by a network that has")
    return keras.Model(model.inputs, [averages[-1].output, model.output])


def _asked(bundle: Bundle, network: Any, shard: Shard, rows: NDArray[np.int64]) -> Seen:
    raw = RawBatch(shard.spectrograms[rows], shard.features[rows])
    inputs = as_keras_takes(prepared(raw, bundle.inputs, bundle.facts.scaling))
    vectors, probabilities = network.predict_on_batch(inputs)
    answers = probabilities.argmax(axis=1).astype(np.int64)
    return Seen(vectors, shard.labels[rows].astype(np.int64), answers, shard.spectrograms[rows])
