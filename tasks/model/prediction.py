"""What a trained network says of the examples in shards, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Shard, read_shard, shard_facts
from tasks.model.bundle.bundle import Bundle
from tasks.model.inputs import RawBatch, as_keras_takes, encoded, prepared


@dataclass(frozen=True)
class Predicted:
    """Predictions for consecutive examples of one shard.

    probabilities: (n, classes) float32, rows sum to one.  truth: (n,) int64, the label numbers.
    recordings, groups, digests: (n,) what each example was cut from.  chunks: (n,) int, its place there.
    """

    probabilities: NDArray[np.float32]
    truth: NDArray[np.int64]
    recordings: Sequence[str]
    groups: Sequence[str]
    digests: Sequence[str]
    chunks: NDArray[np.int64]


def predictions(bundle: Bundle, shards: Sequence[StoredFile], batch_size: int = 256) -> Iterator[Predicted]:
    """For every example that is no augmented copy, in the order of the shards; one shard is in memory at a time.

    Raises: Impossible, before the first prediction, for a generator, and where a shard was made by another pipeline
    than the network's or holds synthetic examples; Damaged, where one is not what was written.
    """
    if bundle.is_generator:
        raise Impossible(f"{bundle.facts.model} is a generator and names nothing; ask a classifier")
    _require_judgeable(bundle, shards)
    for file in shards:
        shard = read_shard(file)
        originals = np.flatnonzero(shard.copies == 0)
        for start in range(0, len(originals), batch_size):
            yield _predicted(bundle, shard, originals[start : start + batch_size])


def _require_judgeable(bundle: Bundle, shards: Sequence[StoredFile]) -> None:
    for file in shards:
        facts = shard_facts(file)
        if facts.is_synthetic:
            raise Impossible(f"{file.name} holds synthetic examples; a network is only judged on real ones")
        if (digest := facts.pipeline_digest) != bundle.pipeline_digest:
            raise Impossible(
                f"{file.name} was made by pipeline {digest}, and this network learned from {bundle.pipeline_digest}; "
                "preprocess with the network's own preset"
            )


def _predicted(bundle: Bundle, shard: Shard, rows: NDArray[np.int64]) -> Predicted:
    raw = RawBatch(shard.spectrograms[rows], shard.features[rows], encoded(shard.metadata[rows]))
    inputs = as_keras_takes(prepared(raw, bundle.inputs, bundle.facts.scaling))
    return Predicted(
        probabilities=bundle.model.predict_on_batch(inputs),
        truth=shard.labels[rows].astype(np.int64),
        recordings=[shard.recordings[row] for row in rows],
        groups=[shard.groups[row] for row in rows],
        digests=[shard.digests[row] for row in rows],
        chunks=shard.chunks[rows].astype(np.int64),
    )
