"""Whatever the shards, the seed and the window, an epoch shows every example exactly once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.shard import Shard
from tasks.model.inputs import InputShapes
from tasks.model.stream import Reader, ShardSet


def shard_of(number: int, size: int) -> Shard:
    return Shard(
        spectrograms=np.zeros((size, 2, 2), np.uint8),
        features=np.zeros((size, 15), np.float32),
        labels=np.arange(size),
        recordings=[f"{number}/{row}" for row in range(size)],
        digests=[""] * size,
        groups=[""] * size,
        chunks=np.zeros(size, int),
        copies=np.zeros(size, int),
    )


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    window=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 100),
)
def test_an_epoch_shows_every_example_exactly_once(sizes, window, seed, epoch):
    shards = {number: shard_of(number, size) for number, size in enumerate(sizes)}
    found = ShardSet(tuple(shards), tuple(sizes), {}, frozenset(), InputShapes())
    rows = Reader(found, window, shards.__getitem__).shuffled(seed, epoch)
    shown = [shard.recordings[row] for shard, row in rows]
    assert sorted(shown) == sorted(name for shard in shards.values() for name in shard.recordings)
