"""Read examples from shards, in an order that depends only on seed and epoch, with bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Shard, read_shard, shard_facts
from tasks.model.inputs import InputShapes, RawBatch, encode_metadata, feature_width

WINDOW_BYTES = 16_384 * 48 * 128
"""Size of the spectrograms that are shuffled together: 100 MB. It determines the order, so it is not configurable."""

Row = tuple[Shard, int]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a stream.  labels: (n,) int64."""

    raw: RawBatch
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ShardSet:
    """The shards of one subset, with facts from their footers."""

    files: tuple[StoredFile, ...]
    sizes: tuple[int, ...]
    label_counts: dict[int, int]
    pipeline_digests: frozenset[str]
    shapes: InputShapes
    n_synthetic: int = 0

    @property
    def n_examples(self) -> int:
        """Number of examples in all shards."""
        return sum(self.sizes)

    def n_batches(self, batch: int) -> int:
        """Return the number of batches in one pass; the last may be smaller."""
        return math.ceil(self.n_examples / batch)


def read_shard_set(files: Sequence[StoredFile], features: str = "audio") -> ShardSet:
    """Read the footers of the shards.

    features: a name from FEATURE_SETS; it determines the feature width.
    Raises: Damaged if a file is not what was written; ShardError if it is not a shard; Impossible if the shards hold
    examples of several shapes.
    """
    footers = [shard_facts(file) for file in files]
    counts: Counter[int] = Counter()
    for facts in footers:
        counts.update(facts.label_counts)
    return ShardSet(
        files=tuple(files),
        sizes=tuple(facts.n_examples for facts in footers),
        label_counts=dict(sorted(counts.items())),
        pipeline_digests=frozenset(facts.pipeline_digest for facts in footers),
        shapes=_one_shape({InputShapes(*facts.shape, feature_width(facts.n_features, features)) for facts in footers}),
        n_synthetic=sum(facts.n_examples for facts in footers if facts.is_synthetic),
    )


def _one_shape(shapes: set[InputShapes]) -> InputShapes:
    if len(shapes) > 1:
        raise Impossible(f"the shards hold examples of {len(shapes)} shapes; pack them with one pipeline")
    return shapes.pop() if shapes else InputShapes()


class Reader:
    """Reads the rows of a shard set; keeps the shards in memory if all of them fit into one window."""

    def __init__(
        self, shards: ShardSet, window: int | None = None, read: Callable[[StoredFile], Shard] = read_shard
    ) -> None:
        """window: size in examples; the default holds `WINDOW_BYTES` of spectrograms."""
        self._shards = shards
        self._window = window or max(1, WINDOW_BYTES // (shards.shapes.n_mels * shards.shapes.n_frames))
        self._open = lru_cache(maxsize=None)(read) if shards.n_examples <= self._window else read

    def in_order(self) -> Iterator[Row]:
        """Yield every row of every shard, in order."""
        for file in self._shards.files:
            shard = self._open(file)
            yield from ((shard, row) for row in range(len(shard.labels)))

    def shuffled(self, seed: int, epoch: int) -> Iterator[Row]:
        """Yield every row once, in an order determined by seed, epoch and shards.

        The shards are shuffled and grouped into windows; the rows of each window are shuffled together.
        """
        draw = np.random.default_rng([seed, epoch])
        for window in self._windows(draw.permutation(len(self._shards.files))):
            yield from self._shuffled_rows(window, draw)

    def _shuffled_rows(self, window: Sequence[int], draw: np.random.Generator) -> Iterator[Row]:
        # A separate function, so that its window is freed before the next one is read.
        shards = [self._open(self._shards.files[index]) for index in window]
        positions = np.array([(at, row) for at, shard in enumerate(shards) for row in range(len(shard.labels))])
        yield from ((shards[at], row) for at, row in draw.permutation(positions))

    def _windows(self, order: NDArray[np.int64]) -> Iterator[list[int]]:
        window: list[int] = []
        held = 0
        for index in order.tolist():
            if window and held + self._shards.sizes[index] > self._window:
                yield window
                window, held = [], 0
            window.append(index)
            held += self._shards.sizes[index]
        if window:
            yield window


def batches(rows: Iterator[Row], size: int) -> Iterator[Batch]:
    """Group the rows into batches of `size`; only the last may be smaller."""
    while batch := _next_batch(rows, size):
        yield batch


def _next_batch(rows: Iterator[Row], size: int) -> Batch | None:
    # A separate function, so that no row keeps a finished window in memory until the next batch.
    batch = list(islice(rows, size))
    if not batch:
        return None
    return Batch(
        RawBatch(
            np.stack([shard.spectrograms[row] for shard, row in batch]),
            np.stack([shard.features[row] for shard, row in batch]),
            encode_metadata(np.stack([shard.metadata[row] for shard, row in batch])),
        ),
        np.array([shard.labels[row] for shard, row in batch], np.int64),
    )
