"""The order of examples and the memory they take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domain.errors import Damaged
from tasks.dataset.shards.shard import ShardError, read_shard
from tasks.model.inputs import InputShapes
from tasks.model.training.stream import Reader, batches, read_shard_set
from tests.model_shards import examples, stored, written


def recordings(rows):
    return [shard.recordings[row] for shard, row in rows]


def recording_reader(opened):
    """Return a reader that records the shards it reads."""

    def read(path):
        opened.append(path)
        return read_shard(path)

    return read


@pytest.fixture
def paths(tmp_path):
    return written(tmp_path, examples(40), size=6)


def test_the_order_follows_from_seed_and_epoch_alone(paths):
    def order(seed, epoch):
        return recordings(Reader(read_shard_set(paths)).shuffled(seed, epoch))

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(*key)) for key in [(1, 2), (1, 3), (2, 2), (2, 1)]}) == 4


def test_the_order_of_an_epoch_does_not_depend_on_earlier_epochs(paths):
    reader = Reader(read_shard_set(paths))
    for epoch in range(3):
        last = recordings(reader.shuffled(7, epoch))
    assert last == recordings(Reader(read_shard_set(paths)).shuffled(7, 2))


def test_validation_examples_are_read_in_order(paths):
    assert recordings(Reader(read_shard_set(paths)).in_order()) == [example.recording for example in examples(40)]


def test_at_most_one_window_is_in_memory_and_each_shard_is_read_once_per_epoch(paths):
    opened = []
    rows = Reader(read_shard_set(paths), 12, recording_reader(opened)).shuffled(0, 0)
    for _ in range(12):
        next(rows)
    assert len(opened) == 2
    assert len(recordings(rows)) == 28
    assert sorted(each.key for each in opened) == [each.key for each in paths]


@pytest.mark.parametrize(("shape", "n"), [((48, 128), 16_384), ((128, 251), 3_133), ((10_000, 20_000), 1)])
def test_a_window_holds_100_mb_for_any_spectrogram_size(shape, n, paths):
    assert Reader(replace(read_shard_set(paths), shapes=InputShapes(*shape)))._window == n


def test_a_set_that_fits_into_a_window_is_read_once_for_all_epochs(paths):
    opened = []
    reader = Reader(read_shard_set(paths), 40, recording_reader(opened))
    for epoch in range(3):
        assert len(recordings(reader.shuffled(0, epoch))) == 40
    assert sorted(each.key for each in opened) == [each.key for each in paths]


def test_only_the_last_batch_is_smaller_across_shards_and_windows(paths):
    shards = read_shard_set(paths)
    sizes = [len(batch.labels) for batch in batches(Reader(shards, window=12).shuffled(0, 0), 16)]
    assert sizes == [16, 16, 8]
    assert shards.n_batches(16) == 3


def test_a_batch_keeps_pixels_features_and_label_of_an_example_together(paths):
    truth = {example.features.tobytes(): example for example in examples(40)}
    for batch in batches(Reader(read_shard_set(paths)).shuffled(3, 1), 7):
        for pixels, features, label in zip(batch.raw.spectrograms, batch.raw.features, batch.labels, strict=True):
            example = truth[features.tobytes()]
            assert label == example.label
            np.testing.assert_array_equal(pixels, example.spectrogram)


def test_a_shard_set_counts_examples_and_labels_from_footers(paths):
    shards = read_shard_set(paths)
    assert shards.n_examples == 40
    assert shards.label_counts == {0: 20, 1: 20}
    assert (shards.shapes.n_mels, shards.shapes.n_frames) == (48, 128)


def test_a_truncated_shard_is_found_before_training_starts(paths):
    whole = paths[0].read()
    paths[0].path.write_bytes(whole[:-100])
    with pytest.raises(Damaged, match=r"shard-0\.parquet is not what was written"):
        read_shard_set(paths)


def test_a_shard_that_changes_between_two_epochs_is_found(paths):
    reader = Reader(read_shard_set(paths), window=12)
    assert len(recordings(reader.shuffled(0, 0))) == 40
    changed = bytearray(paths[3].read())
    changed[len(changed) // 2] ^= 1
    paths[3].path.write_bytes(changed)
    with pytest.raises(Damaged, match=r"shard-3\.parquet is not what was written"):
        recordings(reader.shuffled(0, 1))


def test_a_file_that_is_no_shard_is_refused_before_any_is_read(paths, tmp_path):
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"other\.parquet is no shard"):
        read_shard_set([*paths, stored(tmp_path / "other.parquet")])
    assert issubclass(ShardError, Damaged)
