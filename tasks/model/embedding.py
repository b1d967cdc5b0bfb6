"""Examples as a trained classifier sees them, before it decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tasks.dataset.shard import Shard, read_shard
from tasks.failures import Impossible
from tasks.model.bundle import Bundle
from tasks.model.inputs import Floats, Pixels, RawBatch, as_keras_takes, prepared
from tasks.model.stream import Row

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


def seen_by(bundle: Bundle, shards: Sequence[Path], most: int = MOST_EXAMPLES) -> Seen:
    """The first so many examples that are no augmented copies, as the bundle's network sees them.

    The vectors are what its global average pooling gives: each filter's mean over the picture. So a sound that
    comes earlier or later is the same to them, and a copy that was only moved in time is still found to be one.
    Raises Impossible where the network has no such layer, or the shards hold no example; ShardError where one cannot
    be read.
    """
    rows = list(islice(_originals(shards), most))
    if not rows:
        raise Impossible("the shards hold no example that is no copy; there is nothing to look at")
    network = _with_embedding(bundle.model)
    parts = [_asked(bundle, network, rows[start : start + _BATCH]) for start in range(0, len(rows), _BATCH)]
    vectors, answers, pictures = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(vectors, np.array([shard.labels[row] for shard, row in rows], np.int64), answers, pictures)


def _originals(shards: Sequence[Path]) -> Iterator[Row]:
    for shard in map(read_shard, shards):
        yield from ((shard, int(row)) for row in np.flatnonzero(shard.copies == 0))


def _with_embedding(model: Any) -> Any:
    averages = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not averages:
        raise Impossible(f"{model.name} has no global average pooling; judge generators by a network that has")
    return keras.Model(model.inputs, [averages[-1].output, model.output])


def _asked(bundle: Bundle, network: Any, rows: Sequence[tuple[Shard, int]]) -> tuple[Floats, NDArray[np.int64], Pixels]:
    pictures = np.stack([shard.spectrograms[row] for shard, row in rows])
    raw = RawBatch(pictures, np.stack([shard.features[row] for shard, row in rows]))
    vectors, probabilities = network.predict_on_batch(
        as_keras_takes(prepared(raw, bundle.inputs, bundle.facts.scaling))
    )
    return vectors, probabilities.argmax(axis=1).astype(np.int64), pictures
