"""An epoch yields every example exactly once, for any shards, seed and window."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.shards.shard import Example, read_shard, shards
from tasks.model.inputs import InputShapes
from tasks.model.training.stream import Reader, ShardSet


def shard_of(number: int, size: int) -> bytes:
    pixels, features = np.zeros((1, 1), np.uint8), np.zeros(1, np.float32)
    rows = [Example(pixels, features, row, f"{number}/{row}", "", "", chunk=0, copy=0) for row in range(size)]
    return next(shards(rows, "", ""))


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
    window=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 100),
)
def test_an_epoch_shows_every_example_exactly_once(sizes, window, seed, epoch):
    contents = [shard_of(number, size) for number, size in enumerate(sizes)]
    found = ShardSet(tuple(range(len(sizes))), tuple(sizes), {}, frozenset(), InputShapes())
    rows = Reader(found, window, lambda number: read_shard(contents[number])).shuffled(seed, epoch)
    shown = [shard.recordings[row] for shard, row in rows]
    assert sorted(shown) == sorted(f"{number}/{row}" for number, size in enumerate(sizes) for row in range(size))
