"""The order of examples, and how many are held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from domain.errors import Damaged
from tasks.dataset.shards.shard import ShardError, read_shard
from tasks.model.inputs import InputShapes
from tasks.model.training.stream import Reader, batches, surveyed
from tests.model_shards import examples, stored, written


def recordings(rows):
    return [shard.recordings[row] for shard, row in rows]


def noted(opened):
    """Reads shards, and notes which."""

    def read(path):
        opened.append(path)
        return read_shard(path)

    return read


@pytest.fixture
def paths(tmp_path):
    return written(tmp_path, examples(40), size=6)


def test_the_order_follows_from_seed_and_epoch_alone(paths):
    def order(seed, epoch):
        return recordings(Reader(surveyed(paths)).shuffled(seed, epoch))

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(*key)) for key in [(1, 2), (1, 3), (2, 2), (2, 1)]}) == 4


def test_the_order_is_the_same_whether_epochs_before_were_read_or_not(paths):
    reader = Reader(surveyed(paths))
    for epoch in range(3):
        last = recordings(reader.shuffled(7, epoch))
    assert last == recordings(Reader(surveyed(paths)).shuffled(7, 2))


def test_validation_is_read_as_it_stands(paths):
    assert recordings(Reader(surveyed(paths)).in_order()) == [example.recording for example in examples(40)]


def test_no_more_than_a_window_is_held_and_shards_are_opened_once_an_epoch(paths):
    opened = []
    rows = Reader(surveyed(paths), 12, noted(opened)).shuffled(0, 0)
    for _ in range(12):
        next(rows)
    assert len(opened) == 2
    assert len(recordings(rows)) == 28
    assert sorted(each.key for each in opened) == [each.key for each in paths]


@pytest.mark.parametrize(("shape", "n"), [((48, 128), 16_384), ((128, 251), 3_133), ((10_000, 20_000), 1)])
def test_a_window_is_of_a_hundred_megabytes_whatever_the_pictures_are(shape, n, paths):
    assert Reader(replace(surveyed(paths), shapes=InputShapes(*shape)))._window == n


def test_a_set_that_fits_a_window_is_opened_once_for_all_epochs(paths):
    opened = []
    reader = Reader(surveyed(paths), 40, noted(opened))
    for epoch in range(3):
        assert len(recordings(reader.shuffled(0, epoch))) == 40
    assert sorted(each.key for each in opened) == [each.key for each in paths]


def test_only_the_last_batch_is_smaller_though_shards_and_windows_end_in_between(paths):
    shards = surveyed(paths)
    sizes = [len(batch.labels) for batch in batches(Reader(shards, window=12).shuffled(0, 0), 16)]
    assert sizes == [16, 16, 8]
    assert shards.n_batches(16) == 3


def test_a_batch_keeps_pixels_features_and_label_of_an_example_together(paths):
    truth = {example.features.tobytes(): example for example in examples(40)}
    for batch in batches(Reader(surveyed(paths)).shuffled(3, 1), 7):
        for pixels, features, label in zip(batch.raw.spectrograms, batch.raw.features, batch.labels, strict=True):
            example = truth[features.tobytes()]
            assert label == example.label
            np.testing.assert_array_equal(pixels, example.spectrogram)


def test_a_survey_counts_examples_and_labels_without_pictures(paths):
    shards = surveyed(paths)
    assert shards.n_examples == 40
    assert shards.label_counts == {0: 20, 1: 20}
    assert (shards.shapes.n_mels, shards.shapes.n_frames) == (48, 128)


def test_a_shard_cut_short_is_found_before_any_is_learnt_from(paths):
    whole = paths[0].read()
    paths[0].path.write_bytes(whole[:-100])
    with pytest.raises(Damaged, match=r"shard-0\.parquet is not what was written"):
        surveyed(paths)


def test_a_shard_that_changes_between_two_epochs_is_found(paths):
    reader = Reader(surveyed(paths), window=12)
    assert len(recordings(reader.shuffled(0, 0))) == 40
    changed = bytearray(paths[3].read())
    changed[len(changed) // 2] ^= 1
    paths[3].path.write_bytes(changed)
    with pytest.raises(Damaged, match=r"shard-3\.parquet is not what was written"):
        recordings(reader.shuffled(0, 1))


def test_a_file_that_is_no_shard_is_refused_before_any_is_read(paths, tmp_path):
    (tmp_path / "other.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"other\.parquet is no shard"):
        surveyed([*paths, stored(tmp_path / "other.parquet")])
    assert issubclass(ShardError, Damaged)
