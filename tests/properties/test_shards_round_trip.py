"""Whatever the examples: what comes out of shards is what went in, and writing it again gives the same bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.dataset.shards.shard import Example, Shard, read_shard, shard_facts, shards

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 2**31 - 1)


def example(shape: tuple[int, int], synthetic: bool) -> st.SearchStrategy[Example]:
    return st.builds(
        Example,
        spectrogram=hnp.arrays(np.uint8, shape),
        features=hnp.arrays(np.float32, 15, elements=st.floats(width=32)),
        label=counts,
        recording=words,
        digest=words,
        group=words,
        chunk=counts,
        copy=counts,
        synthetic=st.just(synthetic),
        metadata=hnp.arrays(np.float32, 4, elements=st.floats(width=32)),
    )


shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))
lists = st.tuples(shapes, st.booleans()).flatmap(lambda kind: st.lists(example(*kind), max_size=9))


def examples_of(shard: Shard) -> list[Example]:
    columns = (
        list(shard.spectrograms),
        list(shard.features),
        shard.labels.tolist(),
        shard.recordings,
        shard.digests,
        shard.groups,
        shard.chunks.tolist(),
        shard.copies.tolist(),
        shard.synthetic.tolist(),
        list(shard.metadata),
    )
    return [Example(*fields) for fields in zip(*columns, strict=True)]


@given(lists, st.integers(1, 4), words, words)
def test_reading_and_writing_again_gives_the_same_bytes(examples: list[Example], size: int, order: str, pipeline: str):
    written = list(shards(examples, order, pipeline, size))
    read = [found for shard in written for found in examples_of(read_shard(shard))]
    assert list(shards(read, order, pipeline, size)) == written
    assert sum(shard_facts(shard).n_examples for shard in written) == len(examples)
    for one, other in zip(examples, read, strict=True):
        np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
        assert one.features.tobytes() == other.features.tobytes()
        assert one.metadata.tobytes() == other.metadata.tobytes()
        assert (one.label, one.recording, one.digest, one.group) == (
            other.label,
            other.recording,
            other.digest,
            other.group,
        )
