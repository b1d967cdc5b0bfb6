"""Shards: Parquet files of up to 4,096 examples, the same bytes for the same examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from domain.stored_file import StoredFile
from tasks.dataset.shards.footer import (
    MAX_EXAMPLES,
    ShardError,
    ShardFacts,
    facts_of,
    schema_of,
    with_facts,
)
from tasks.dataset.shards.metadata import METADATA, UNKNOWN, as_numbers

__all__ = ["Example", "Shard", "ShardError", "ShardFacts", "read_shard", "shard_facts", "shards"]

_TEXTS = ["recording", "digest", "group"]
_MOST_BYTES = MAX_EXAMPLES * 48 * 128
"""Of the spectrograms of a shard, unless a single one is larger."""

Pictures = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class Example:
    """One chunk, ready for training.

    spectrogram: (mel, frame) uint8.  features: (15,) float32.  label: number in the run's list of classes, >= 0.
    recording: uri.  digest: SHA-256 of the recording in hex.  chunk, copy: counted from 0; copy 0 is not augmented.
    synthetic: True if a generator made it; its features are then NaN.
    metadata: (4,) float32, see `tasks.dataset.shards.metadata`.
    """

    spectrogram: Pictures
    features: Features
    label: int
    recording: str
    digest: str
    group: str
    chunk: int
    copy: int
    synthetic: bool = False
    metadata: Features = field(default_factory=lambda: as_numbers(UNKNOWN))


@dataclass(frozen=True, eq=False, slots=True)
class Shard:
    """The examples of one shard as columns, in the shard's order.

    spectrograms: (n, mel, frame) uint8, a read-only view of the shard's bytes.  features: (n, 15) float32.
    labels, chunks, copies: (n,) int32.  synthetic: (n,) bool.  metadata: (n, 4) float32, in the order of METADATA;
    NaN for an unknown value, and for every value in a shard of version 1.
    """

    facts: ShardFacts
    spectrograms: Pictures
    features: Features
    labels: Int32s
    recordings: list[str]
    digests: list[str]
    groups: list[str]
    chunks: Int32s
    copies: Int32s
    synthetic: npt.NDArray[np.bool_]
    metadata: Features


def shards(
    examples: Iterable[Example], order_digest: str, pipeline_digest: str, size: int = MAX_EXAMPLES
) -> Iterator[bytes]:
    """Yield the examples, in their order, as Parquet files of `size` examples; fewer if their spectrograms are large.

    One shard is in memory at a time: four times its bytes, at most 100 MB. A full shard has 4,096 examples of 48 by
    128, or 783 of 128 by 251. Equal examples, digests and library versions give equal bytes. Spectrograms are not
    compressed: zstd saves a tenth of real ones and makes reading 2.5 times slower. Pages have checksums.
    Raises: ShardError if examples differ in shape, have a negative label, or are partly synthetic, or if the size is
    not from 1 to 4,096.
    """
    if not 1 <= size <= MAX_EXAMPLES:
        raise ShardError(f"shard size {size} is not between 1 and {MAX_EXAMPLES}")
    examples = iter(examples)
    if (first := next(examples, None)) is None:
        return
    size = min(size, max(1, _MOST_BYTES // max(1, first.spectrogram.size)))
    examples = chain([first], examples)
    while batch := list(islice(examples, size)):
        yield _written(batch, order_digest, pipeline_digest)


def read_shard(source: StoredFile | bytes) -> Shard:
    """Return the examples of a shard.

    source: a file of the store, which is verified as it is read; or bytes that were verified before.
    Raises: Damaged if the file is not what was written; ShardError if it is not a shard of a known version; OSError if
    the file cannot be read.
    """
    data = _bytes(source)
    with _as_shard_error(source):
        # Dictionaries keep equal texts once in memory.
        parquet = pq.ParquetFile(pa.BufferReader(data), read_dictionary=_TEXTS)
        return _read(parquet)


def shard_facts(source: StoredFile | bytes) -> ShardFacts:
    """Return the facts in a shard's footer: counts, digests and shape. No example is decoded.

    Raises: as `read_shard` does.
    """
    data = _bytes(source)
    with _as_shard_error(source):
        return facts_of(pq.ParquetFile(pa.BufferReader(data)))


def _bytes(source: StoredFile | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read()


@contextmanager
def _as_shard_error(source: StoredFile | bytes) -> Iterator[None]:
    """Raise ShardError for the errors that pyarrow raises while it parses bytes in memory."""
    try:
        yield
    except MemoryError:  # pyarrow's is an ArrowException too
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        name = "this" if isinstance(source, bytes) else source.key
        raise ShardError(f"{name} is no shard: {error!s:.200}; pack it again") from error


def _written(batch: Sequence[Example], order_digest: str, pipeline_digest: str) -> bytes:
    spectrograms = _stacked([example.spectrogram for example in batch], np.uint8, n_axes=2)
    features = _stacked([example.features for example in batch], np.float32, n_axes=1)
    metadata = _stacked([example.metadata for example in batch], np.float32, n_axes=1)
    if metadata.shape[1] != len(METADATA):
        raise ShardError(f"metadata of {metadata.shape[1]} numbers where {', '.join(METADATA)} are expected")
    labels = np.array([example.label for example in batch], dtype=np.int32)
    if labels.min() < 0:
        raise ShardError(f"{batch[int(labels.argmin())].recording} has the label {labels.min()}; labels count from 0")
    _, n_mel, n_frames = spectrograms.shape
    label_counts = zip(*np.unique(labels, return_counts=True), strict=True)
    facts = ShardFacts(
        n_examples=len(batch),
        label_counts={int(label): int(n) for label, n in label_counts},
        pipeline_digest=pipeline_digest,
        order_digest=order_digest,
        shape=(n_mel, n_frames),
        n_features=features.shape[1],
        is_synthetic=_are_synthetic(batch),
    )
    schema = schema_of(facts.shape, facts.n_features)
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(schema.field(0).type, len(batch), [None, pa.py_buffer(spectrograms)]),
        pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), type=schema.field(1).type),
        pa.array(labels),
        *(pa.array([getattr(e, name) for e in batch], schema.field(name).type) for name in schema.names[3:-1]),
        pa.FixedSizeListArray.from_arrays(pa.array(metadata.ravel()), type=schema.field("metadata").type),
    ]
    return _parquet(pa.Table.from_arrays(columns, schema=with_facts(schema, facts)))


def _are_synthetic(batch: Sequence[Example]) -> bool:
    kinds = {example.synthetic for example in batch}
    if len(kinds) > 1:
        raise ShardError("real and synthetic examples cannot be in one shard; write them to separate shards")
    return kinds.pop()


def _stacked(arrays: Sequence[npt.NDArray[Any]], dtype: type[np.generic], n_axes: int) -> npt.NDArray[Any]:
    unlike = {(array.shape, array.dtype) for array in arrays} - {(arrays[0].shape, np.dtype(dtype))}
    if unlike:
        shape, found = unlike.pop()
        raise ShardError(f"an array of {shape} {found} where {arrays[0].shape} {np.dtype(dtype)} is expected")
    if arrays[0].ndim != n_axes or not arrays[0].size:
        raise ShardError(f"an array of shape {arrays[0].shape} where one of {n_axes} filled axes is expected")
    return np.stack(arrays)


def _parquet(table: pa.Table) -> bytes:
    """Return the Parquet bytes. Every option is set, because a newer library may have other defaults."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        row_group_size=MAX_EXAMPLES,
        version="2.6",
        data_page_version="1.0",
        compression="none",
        use_dictionary=_TEXTS,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=True,
    )
    return bytes(sink.getvalue())


def _read(parquet: pq.ParquetFile) -> Shard:
    facts, table = facts_of(parquet), parquet.read(use_threads=False)
    n, (n_mel, n_frames) = facts.n_examples, facts.shape
    return Shard(
        facts=facts,
        spectrograms=_pictures(table["spectrogram"], n_mel * n_frames).reshape(n, n_mel, n_frames),
        features=np.asarray(_one(table["features"]).flatten(), dtype=np.float32).reshape(n, facts.n_features),
        labels=_one(table["label"]).to_numpy(),
        recordings=_texts(table["recording"]),
        digests=_texts(table["digest"]),
        groups=_texts(table["group"]),
        chunks=_one(table["chunk"]).to_numpy(),
        copies=_one(table["copy"]).to_numpy(),
        synthetic=_one(table["synthetic"]).to_numpy(zero_copy_only=False),
        metadata=_metadata(table, n),
    )


def _metadata(table: pa.Table, n: int) -> Features:
    if "metadata" not in table.column_names:
        return np.full((n, len(METADATA)), np.nan, np.float32)
    return np.asarray(_one(table["metadata"]).flatten(), dtype=np.float32).reshape(n, len(METADATA))


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Return the column's texts; equal texts share one object."""
    held = _one(column)
    texts = held.dictionary.to_pylist()
    return [texts[at] for at in held.indices.to_pylist()]


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _pictures(column: pa.ChunkedArray, width: int) -> Pictures:
    array = _one(column)
    pixels = np.frombuffer(array.buffers()[1], dtype=np.uint8, count=len(array) * width, offset=array.offset * width)
    pixels.setflags(write=False)
    return pixels
