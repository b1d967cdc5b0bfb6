"""Predict the class probabilities of the examples in shards, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Shard, read_shard, shard_facts
from tasks.model.bundle.bundle import Bundle
from tasks.model.inputs import RawBatch, encode_metadata, keras_arguments, prepare_inputs


@dataclass(frozen=True)
class PredictionBatch:
    """Predictions for consecutive examples of one shard.

    probabilities: (n, classes) float32, rows sum to one.  truth: (n,) int64, the label numbers.
    recordings, groups, digests: n strings, the origin of each example.
    chunks: (n,) int64, the position of each chunk in its recording.
    """

    probabilities: NDArray[np.float32]
    truth: NDArray[np.int64]
    recordings: Sequence[str]
    groups: Sequence[str]
    digests: Sequence[str]
    chunks: NDArray[np.int64]


def predictions(bundle: Bundle, shards: Sequence[StoredFile], batch_size: int = 256) -> Iterator[PredictionBatch]:
    """Predict every example that is not an augmented copy, in shard order; one shard is in memory at a time.

    Raises: Impossible, before the first prediction, if the bundle holds a generator, a shard was made by another
    pipeline than the network's, or a shard holds synthetic examples; Damaged if a shard is not what was written.
    """
    if bundle.is_generator:
        raise Impossible(f"{bundle.facts.model} is a generator and predicts no classes; use a classifier")
    _require_compatible(bundle, shards)
    for file in shards:
        shard = read_shard(file)
        originals = np.flatnonzero(shard.copies == 0)
        for start in range(0, len(originals), batch_size):
            yield _predict(bundle, shard, originals[start : start + batch_size])


def _require_compatible(bundle: Bundle, shards: Sequence[StoredFile]) -> None:
    for file in shards:
        facts = shard_facts(file)
        if facts.is_synthetic:
            raise Impossible(f"{file.name} holds synthetic examples; evaluate on real examples only")
        if (digest := facts.pipeline_digest) != bundle.facts.pipeline_digest:
            raise Impossible(
                f"{file.name} was made by pipeline {digest}, but the network was trained on "
                f"{bundle.facts.pipeline_digest}; preprocess with the network's preset"
            )


def _predict(bundle: Bundle, shard: Shard, rows: NDArray[np.int64]) -> PredictionBatch:
    raw = RawBatch(shard.spectrograms[rows], shard.features[rows], encode_metadata(shard.metadata[rows]))
    inputs = keras_arguments(prepare_inputs(raw, bundle.inputs, bundle.facts.scaling))
    return PredictionBatch(
        probabilities=bundle.model.predict_on_batch(inputs),
        truth=shard.labels[rows].astype(np.int64),
        recordings=[shard.recordings[row] for row in rows],
        groups=[shard.groups[row] for row in rows],
        digests=[shard.digests[row] for row in rows],
        chunks=shard.chunks[rows].astype(np.int64),
    )
