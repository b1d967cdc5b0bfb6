"""Embed examples with a trained classifier: the activations before its dense layers."""

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
from tasks.model.inputs import Floats, Pixels, RawBatch, keras_arguments, prepare_inputs
from tasks.model.spec import MOST_EMBEDDED

_BATCH = 256


@dataclass(frozen=True, eq=False)
class EmbeddedExamples:
    """Examples with a classifier's embedding and prediction.

    vectors: (n, d) float32, the embedding.  labels: (n,) int64, the true classes.  predicted: (n,) int64 classes.
    spectrograms: (n, mel, frame) uint8.
    """

    vectors: Floats
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    spectrograms: Pixels


def embed_originals(bundle: Bundle, shards: Sequence[StoredFile], limit: int = MOST_EMBEDDED) -> EmbeddedExamples:
    """Embed the first `limit` examples that are not augmented copies.

    The vectors are the output of the network's global average pooling: the mean of each filter over the spectrogram.
    Time shifts hardly change them, so a time-shifted copy is still recognised as a copy.

    shards: read in order; one is in memory at a time.
    Raises: Impossible if the network has no global average pooling or the shards hold no original example;
    Damaged if a shard is not what was written.
    """
    network, parts, left = _embedding_network(bundle.model), [], limit
    for shard in map(read_shard, shards):  # Loads one shard at a time, however many copies it holds.
        rows = np.flatnonzero(shard.copies == 0)[:left]
        parts += [_embed(bundle, network, shard, rows[at : at + _BATCH]) for at in range(0, len(rows), _BATCH)]
        left -= len(rows)
        if not left:
            break
    if not parts:
        raise Impossible(
            "the shards hold no original example, only augmented copies; give shards of the training or test subset"
        )
    return EmbeddedExamples(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in EmbeddedExamples.__dataclass_fields__)
    )


def embedding_blocks(bundle: Bundle, shards: Sequence[StoredFile]) -> Iterator[Floats]:
    """Yield the vectors of all examples, augmented copies included, as (n, d) float32 blocks.

    Two shards are in memory at most.
    Raises: Impossible if the network has no global average pooling; Damaged if a shard is not what was written.
    """
    network = _embedding_network(bundle.model)
    for shard in map(read_shard, shards):
        rows = np.arange(len(shard.labels))
        for at in range(0, len(rows), _BATCH):
            yield _embed(bundle, network, shard, rows[at : at + _BATCH]).vectors


def _embedding_network(model: Any) -> Any:
    averages = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    if not averages:
        raise Impossible(f"{model.name} has no global average pooling; evaluate generators with a network that has one")
    return keras.Model(model.inputs, [averages[-1].output, model.output])


def _embed(bundle: Bundle, network: Any, shard: Shard, rows: NDArray[np.int64]) -> EmbeddedExamples:
    raw = RawBatch(shard.spectrograms[rows], shard.features[rows])
    inputs = keras_arguments(prepare_inputs(raw, bundle.inputs, bundle.facts.scaling))
    vectors, probabilities = network.predict_on_batch(inputs)
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    return EmbeddedExamples(vectors, shard.labels[rows].astype(np.int64), predicted, shard.spectrograms[rows])
