"""Examples out of shards, in an order that follows from seed and epoch, with a bounded number of them in memory."""

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
from tasks.model.inputs import InputShapes, RawBatch, encoded, n_chosen

WINDOW_BYTES = 16_384 * 48 * 128
"""Of pictures drawn from at once: 100 MB. It shapes the order, so it is no setting of a machine."""

Row = tuple[Shard, int]


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a stream and their label numbers, (n,) int64."""

    raw: RawBatch
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class ShardSet:
    """What the shards of one side say of themselves, without their pictures having been read."""

    files: tuple[StoredFile, ...]
    sizes: tuple[int, ...]
    label_counts: dict[int, int]
    pipeline_digests: frozenset[str]
    shapes: InputShapes
    n_synthetic: int = 0

    @property
    def n_examples(self) -> int:
        """All shards together."""
        return sum(self.sizes)

    def n_batches(self, batch: int) -> int:
        """Batches in one pass; the last may be smaller."""
        return math.ceil(self.n_examples / batch)


def surveyed(files: Sequence[StoredFile], features: str = "audio") -> ShardSet:
    """The set these shards make up, from their footers; features: of FEATURE_SETS, they decide the shape.

    Raises: Damaged, where a file is not what was written, and ShardError, where it is not a shard; Impossible, where
    they hold examples of several shapes.
    """
    found = [shard_facts(file) for file in files]
    counts: Counter[int] = Counter()
    for facts in found:
        counts.update(facts.label_counts)
    return ShardSet(
        files=tuple(files),
        sizes=tuple(facts.n_examples for facts in found),
        label_counts=dict(sorted(counts.items())),
        pipeline_digests=frozenset(facts.pipeline_digest for facts in found),
        shapes=_one_shape({InputShapes(*facts.shape, n_chosen(facts.n_features, features)) for facts in found}),
        n_synthetic=sum(facts.n_examples for facts in found if facts.is_synthetic),
    )


def _one_shape(shapes: set[InputShapes]) -> InputShapes:
    if len(shapes) > 1:
        raise Impossible(f"the shards hold examples of {len(shapes)} shapes; pack them with one pipeline")
    return shapes.pop() if shapes else InputShapes()


class Reader:
    """Opens shards; keeps them open when all of them together are no more than a window."""

    def __init__(
        self, shards: ShardSet, window: int | None = None, read: Callable[[StoredFile], Shard] = read_shard
    ) -> None:
        """window: in examples; as many as `WINDOW_BYTES` hold where it is left out."""
        self._shards = shards
        self._window = window or max(1, WINDOW_BYTES // (shards.shapes.n_mels * shards.shapes.n_frames))
        self._open = lru_cache(maxsize=None)(read) if shards.n_examples <= self._window else read

    def in_order(self) -> Iterator[Row]:
        """Every row of every shard, as they stand."""
        for file in self._shards.files:
            shard = self._open(file)
            yield from ((shard, row) for row in range(len(shard.labels)))

    def shuffled(self, seed: int, epoch: int) -> Iterator[Row]:
        """Every row once, in an order that is a function of the seed, the epoch and the shards alone.

        The shards are shuffled and dealt into windows; the rows of one window are then shuffled together.
        """
        draw = np.random.default_rng([seed, epoch])
        for window in self._windows(draw.permutation(len(self._shards.files))):
            yield from self._drawn(window, draw)

    def _drawn(self, window: Sequence[int], draw: np.random.Generator) -> Iterator[Row]:
        # A frame of its own: what it holds is freed before the next window is opened.
        shards = [self._open(self._shards.files[index]) for index in window]
        places = np.array([(at, row) for at, shard in enumerate(shards) for row in range(len(shard.labels))])
        yield from ((shards[at], row) for at, row in draw.permutation(places))

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
    """The rows, `size` at a time; only the last batch may be smaller."""
    while batch := _next_batch(rows, size):
        yield batch


def _next_batch(rows: Iterator[Row], size: int) -> Batch | None:
    # The rows are let go on return: kept until the next batch, they would hold a window that is read through.
    taken = list(islice(rows, size))
    if not taken:
        return None
    return Batch(
        RawBatch(
            np.stack([shard.spectrograms[row] for shard, row in taken]),
            np.stack([shard.features[row] for shard, row in taken]),
            encoded(np.stack([shard.metadata[row] for shard, row in taken])),
        ),
        np.array([shard.labels[row] for shard, row in taken], np.int64),
    )
