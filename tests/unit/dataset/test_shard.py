"""Shards: the same bytes for the same examples, and only bytes that were written here are parsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.digests import content_digest
from domain.errors import Damaged
from domain.stored_file import StoredFile
from tasks.dataset.shards.shard import Example, ShardError, ShardFacts, read_shard, shard_facts, shards
from tests.memory import peak_memory


def examples(n: int, shape: tuple[int, int] = (48, 128), *, synthetic: bool = False) -> Iterator[Example]:
    random = np.random.default_rng(5)
    for i in range(n):
        yield Example(
            spectrogram=random.integers(0, 256, shape, dtype=np.uint8),
            features=random.normal(size=15).astype(np.float32),
            label=i % 3,
            recording=f"wren/caf\u00e9 {i // 2}.ogg",
            digest=f"{i // 2:064x}",
            group=f"author {i // 4}",
            chunk=i % 2,
            copy=i % 5,
            synthetic=synthetic,
            metadata=np.array([i, -i, np.nan, 6.5], np.float32),
        )


def one(n: int = 10) -> bytes:
    (shard,) = shards(examples(n), "order", "pipeline")
    return shard


def test_a_shard_gives_back_every_field_of_every_example():
    shard = read_shard(one(10))
    for i, example in enumerate(examples(10)):
        np.testing.assert_array_equal(shard.spectrograms[i], example.spectrogram)
        np.testing.assert_array_equal(shard.features[i], example.features)
        np.testing.assert_array_equal(shard.metadata[i], example.metadata)
        told = (shard.recordings[i], shard.digests[i], shard.groups[i], shard.chunks[i], shard.copies[i])
        assert told == (example.recording, example.digest, example.group, example.chunk, example.copy)
        assert (shard.labels[i], shard.synthetic[i]) == (example.label, example.synthetic)
    assert (shard.spectrograms.dtype, shard.features.dtype, shard.labels.dtype) == (np.uint8, np.float32, np.int32)


def test_a_file_and_its_bytes_are_the_same_shard(tmp_path: Path):
    file = written(tmp_path, one())
    np.testing.assert_array_equal(read_shard(file).spectrograms, read_shard(one()).spectrograms)
    assert shard_facts(file) == shard_facts(one())


def test_shards_hold_the_examples_in_order_and_the_last_holds_the_rest():
    parts = [read_shard(part) for part in shards(examples(10), "order", "pipeline", size=4)]
    assert [len(part.labels) for part in parts] == [4, 4, 2]
    assert [name for part in parts for name in part.recordings] == [example.recording for example in examples(10)]


def test_of_large_pictures_a_shard_holds_fewer():
    def sizes(n, shape):
        return [shard_facts(part).n_examples for part in shards(examples(n, shape=shape), "o", "p")]

    assert sizes(800, (128, 251)) == [783, 17]
    assert sizes(25, (1024, 1024)) == [24, 1]


def test_the_same_examples_give_the_same_bytes():
    assert list(shards(examples(9), "o", "p", 4)) == list(shards(list(examples(9)), "o", "p", 4))
    assert next(shards(examples(9), "o", "p")) != next(shards(examples(9), "o", "q"))


def test_no_examples_make_no_shard():
    assert list(shards([], "o", "p")) == []


def test_examples_are_taken_one_shard_at_a_time():
    taken = []

    def counted() -> Iterator[Example]:
        for example in examples(9):
            taken.append(example)
            yield example

    next(shards(counted(), "o", "p", size=3))
    assert len(taken) == 3


def test_the_footer_tells_the_facts():
    assert shard_facts(one(10)) == ShardFacts(10, {0: 4, 1: 3, 2: 3}, "pipeline", "order", (48, 128), 15)


def test_another_presets_shape_is_kept():
    (shard,) = shards(examples(3, shape=(64, 96)), "o", "p")
    assert read_shard(shard).spectrograms.shape == (3, 64, 96)


def test_any_parquet_reader_can_open_a_shard(tmp_path: Path):
    path = tmp_path / "0.parquet"
    path.write_bytes(one())
    table = pq.read_table(path)
    assert table.num_rows == 10
    assert table["features"][3].as_py() == list(examples(4))[3].features.tolist()


def test_a_shard_cut_short_anywhere_is_refused():
    whole = one()
    for length in [0, 3, 4, 12, len(whole) // 2, len(whole) - 9, len(whole) - 1]:
        with pytest.raises(ShardError):
            read_shard(whole[:length])


def written(folder: Path, content: bytes, recorded: bytes | None = None) -> StoredFile:
    """A file of the store; recorded: what was written there at first, if something else is there now."""
    path = folder / "0.parquet"
    path.write_bytes(content)
    return StoredFile("shards/a/0.parquet", path, content_digest(recorded or content))


def test_a_flipped_bit_in_a_picture_is_noticed(tmp_path: Path):
    damaged = bytearray(one())
    damaged[5000] ^= 1
    for read in (read_shard, shard_facts):
        with pytest.raises(Damaged, match=r"shards/a/0\.parquet is not what was written"):
            read(written(tmp_path, bytes(damaged), one()))


def test_a_missing_file_is_the_machines_matter_and_no_damage(tmp_path: Path):
    file = written(tmp_path, one())
    file.path.unlink()
    with pytest.raises(FileNotFoundError):
        read_shard(file)


def test_somebody_elses_parquet_is_refused():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1, 2]}), sink)
    with pytest.raises(ShardError, match="no shard"):
        shard_facts(bytes(sink.getvalue()))


def test_a_shard_of_the_version_before_is_read_as_if_nobody_knew_where_and_when():
    table = pq.read_table(pa.BufferReader(one()))
    (key,) = table.schema.metadata
    told = json.loads(table.schema.metadata[key]) | {"version": "1"}
    sink = pa.BufferOutputStream()
    older = table.drop_columns("metadata").replace_schema_metadata({key: json.dumps(told)})
    pq.write_table(older, sink, compression="none")
    shard = read_shard(bytes(sink.getvalue()))
    assert shard.metadata.shape == (10, 4)
    assert np.isnan(shard.metadata).all()
    np.testing.assert_array_equal(shard.features, read_shard(one()).features)


def test_a_shard_of_a_version_to_come_is_refused_with_what_to_do():
    table = pq.read_table(pa.BufferReader(one()))
    (key,) = table.schema.metadata
    told = json.loads(table.schema.metadata[key]) | {"version": "3"}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({key: json.dumps(told)}), sink)
    with pytest.raises(ShardError, match="shard version '3' is not 2; pack it again"):
        read_shard(bytes(sink.getvalue()))


@pytest.mark.parametrize("footer", ["", "null", "[]", "{}", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")])
def test_a_footer_that_makes_no_sense_is_refused(footer: str | bytes):
    table = pq.read_table(pa.BufferReader(one()))
    (key,) = table.schema.metadata
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({key: footer}), sink)
    with pytest.raises(ShardError):
        read_shard(bytes(sink.getvalue()))


def test_examples_that_cannot_share_a_shard_are_refused():
    good, other = next(examples(1)), next(examples(1, shape=(64, 96)))
    with pytest.raises(ShardError, match=r"\(64, 96\) uint8 where \(48, 128\) uint8"):
        list(shards([good, other], "o", "p"))
    with pytest.raises(ShardError, match="labels count from 0"):
        list(shards([Example(good.spectrogram, good.features, -1, "a.ogg", "d", "g", 0, 0)], "o", "p"))
    with pytest.raises(ShardError, match="metadata of 3 numbers where latitude, longitude, month, hour"):
        list(shards([replace(good, metadata=np.zeros(3, np.float32))], "o", "p"))
    with pytest.raises(ShardError, match="float64"):
        list(shards([Example(good.spectrogram, good.features.astype(float), 1, "a.ogg", "d", "g", 0, 0)], "o", "p"))


@pytest.mark.parametrize("size", [0, -1, 4097])
def test_a_size_that_no_shard_has_is_refused(size: int):
    with pytest.raises(ShardError, match="not between 1 and 4096"):
        list(shards(examples(1), "o", "p", size))


def rewritten(content: bytes, facts: dict[str, object] | None = None, **options: object) -> bytes:
    """A shard's columns and footer, written in another way; facts: what the footer then says."""
    table = pq.read_table(pa.BufferReader(content))
    (key,) = table.schema.metadata
    told = json.loads(table.schema.metadata[key]) | (facts or {})
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({key: json.dumps(told)}), sink, **options)
    return bytes(sink.getvalue())


def one_picture() -> bytes:
    picture = np.zeros((512, 512), np.uint8)
    (shard,) = shards([replace(example, spectrogram=picture) for example in examples(90)], "order", "pipeline")
    return rewritten(shard, compression="none")  # the picture in a dictionary: it swells by ten when it is read


def long_text() -> bytes:
    (shard,) = shards([replace(example, group="g" * 1_000_000) for example in examples(200)], "order", "pipeline")
    return shard


HOSTILE = {
    "compressed": lambda: rewritten(one(1000), compression="zstd"),
    "a picture that stands for many": one_picture,
    "a long text that all examples name": long_text,
    "more examples than there are": lambda: rewritten(one(), {"n_examples": 10**12}),
    "a shape beyond memory": lambda: rewritten(one(), {"shape": [10**9, 10**9]}),
    "other labels than it holds": lambda: rewritten(one(), {"label_counts": {"0": 10}}),
    "no parquet": lambda: b"PAR1" * 1000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_took_a_shards_place_is_not_parsed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = written(tmp_path, HOSTILE[name](), one())
    monkeypatch.setattr(pq, "ParquetFile", None)  # to ask it for anything would be a TypeError
    with peak_memory() as peak:
        for read in (read_shard, shard_facts):
            with pytest.raises(Damaged, match="is not what was written"):
                read(file)
    assert peak.size_bytes < file.path.stat().st_size + (10 << 20)


def test_a_file_that_grew_beyond_any_of_ours_is_not_read(tmp_path: Path):
    file = written(tmp_path, one())
    with file.path.open("r+b") as growing:
        growing.truncate(1 << 40)  # a hole, which takes no room on the disk
    with peak_memory() as peak, pytest.raises(Damaged, match="1099511627776 bytes, more than"):
        read_shard(file)
    assert peak.size_bytes < 10 << 20


def test_lack_of_memory_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 122880 failed")

    (shard,) = shards(examples(2), "a" * 64, "b" * 64)
    monkeypatch.setattr(pq, "ParquetFile", without_memory)
    with pytest.raises(MemoryError):
        read_shard(shard)
