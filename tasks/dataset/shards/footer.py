"""What a shard says about itself in its footer, and the one schema it may have."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import Damaged
from tasks.dataset.shards import thrift
from tasks.dataset.shards.metadata import METADATA

MAX_EXAMPLES = 4096

_VERSION = "2"
_VERSION_WITHOUT_METADATA = "1"
_KEY = b"dawn-chorus-shard"

# More than any preset makes; a footer that claims more is not believed, and nothing is allocated for it.
_MOST_PIXELS = 1 << 20
_MOST_FEATURES = 1 << 12

_ENCODINGS = {0: "PLAIN", 2: "PLAIN_DICTIONARY", 3: "RLE", 4: "BIT_PACKED", 8: "RLE_DICTIONARY"}
_OTHER_ENCODINGS = {
    5: "DELTA_BINARY_PACKED", 6: "DELTA_LENGTH_BYTE_ARRAY", 7: "DELTA_BYTE_ARRAY", 9: "BYTE_STREAM_SPLIT",
}  # fmt: skip
_UNCOMPRESSED = 0
_END = struct.Struct("<I4s")


class ShardError(Damaged):
    """Bytes that are no shard of this version, or examples that cannot stand in one shard."""


@dataclass(frozen=True)
class ShardFacts:
    """A shard's footer.

    shape: (mel, frame) of each spectrogram.  label_counts: examples of each label, ascending.
    is_synthetic: all of its examples were made by a generator; of real ones none was.
    """

    n_examples: int
    label_counts: dict[int, int]
    pipeline_digest: str
    order_digest: str
    shape: tuple[int, int]
    n_features: int
    is_synthetic: bool = False


def schema_of(shape: tuple[int, int], n_features: int, *, has_metadata: bool = True) -> pa.Schema:
    """The columns of a shard whose examples have this shape and so many features; has_metadata: version 2, not 1."""
    types = {
        "spectrogram": pa.binary(shape[0] * shape[1]),
        "features": _numbers(n_features),
        "label": pa.int32(),
        "recording": pa.string(),
        "digest": pa.string(),
        "group": pa.string(),
        "chunk": pa.int32(),
        "copy": pa.int32(),
        "synthetic": pa.bool_(),
    }
    types |= {"metadata": _numbers(len(METADATA))} if has_metadata else {}
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in types.items()])


def _numbers(n: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float32(), nullable=False), n)


def with_facts(schema: pa.Schema, facts: ShardFacts) -> pa.Schema:
    """The schema with the facts in its footer."""
    told = {
        "version": _VERSION,
        "n_examples": facts.n_examples,
        "label_counts": {str(label): n for label, n in facts.label_counts.items()},
        "pipeline_digest": facts.pipeline_digest,
        "order_digest": facts.order_digest,
        "shape": list(facts.shape),
        "n_features": facts.n_features,
    }
    if facts.is_synthetic:  # said of those alone, so that shards of real examples keep their bytes
        told["synthetic"] = True
    return schema.with_metadata({_KEY: json.dumps(told, separators=(",", ":"))})


def facts_of(parquet: pq.ParquetFile) -> ShardFacts:
    """The facts in a Parquet file's footer. Raises ShardError where it is no shard's or contradicts the file."""
    told = (parquet.metadata.metadata or {}).get(_KEY)
    if told is None:
        raise ShardError("this Parquet file is no shard: its footer has no facts")
    try:
        facts = _facts(json.loads(told))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ShardError(f"the shard's footer cannot be understood: {error!r:.120}") from error
    _refuse_other_files(parquet, facts)
    return facts


def _facts(told: dict[str, object]) -> ShardFacts:
    if told["version"] not in (_VERSION, _VERSION_WITHOUT_METADATA):
        raise ShardError(f"shard version {told['version']!r:.20} is not {_VERSION}; pack it again")
    counts, shape = told["label_counts"], told["shape"]
    if not isinstance(counts, dict) or not isinstance(shape, list):
        raise TypeError("label_counts or shape")
    n_mel, n_frames = (_count(size, _MOST_PIXELS) for size in shape)
    facts = ShardFacts(
        n_examples=_count(told["n_examples"], MAX_EXAMPLES),
        label_counts={int(label): _count(n, MAX_EXAMPLES) for label, n in counts.items()},
        pipeline_digest=_text(told["pipeline_digest"]),
        order_digest=_text(told["order_digest"]),
        shape=(n_mel, n_frames),
        n_features=_count(told["n_features"], _MOST_FEATURES),
        is_synthetic=told.get("synthetic", False) is True,
    )
    if n_mel * n_frames > _MOST_PIXELS or sum(facts.label_counts.values()) != facts.n_examples:
        raise ValueError("counts do not add up")
    return facts


def _count(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{value!r:.40} is not a whole number from 1 to {most}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a text")
    return value


def _refuse_other_files(parquet: pq.ParquetFile, facts: ShardFacts) -> None:
    if parquet.metadata.num_rows != facts.n_examples or parquet.metadata.num_row_groups != 1:
        raise ShardError(f"the shard holds {parquet.metadata.num_rows} examples, its footer says {facts.n_examples}")
    # A run may have been packed before shards held metadata: they are read as if nobody knew where and when.
    known = (schema_of(facts.shape, facts.n_features, has_metadata=has) for has in (True, False))
    if not any(parquet.schema_arrow.equals(schema, check_metadata=False) for schema in known):
        raise ShardError(f"the shard's columns are {parquet.schema_arrow.names} of other names or types")


def require_plain(handle: pa.NativeFile, facts: ShardFacts) -> None:
    """Nothing, or ShardError for a file that would swell when it is read: what shards hold is not compressed."""
    size_bytes = handle.size()
    numbers_bytes = facts.n_examples * (facts.shape[0] * facts.shape[1] + 4 * facts.n_features)
    if numbers_bytes > size_bytes:
        raise ShardError(f"the shard has {size_bytes} bytes, and its examples take {numbers_bytes}")
    try:
        columns = _columns(handle, size_bytes)
        compressions, encodings = {column[4] for column in columns}, {each for column in columns for each in column[2]}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ShardError(f"the shard's footer cannot be understood: {error!r:.120}") from error
    if compressions != {_UNCOMPRESSED}:
        raise ShardError("the shard is compressed, which none of ours is; pack it again")
    if swelling := encodings - _ENCODINGS.keys():
        names = ", ".join(_OTHER_ENCODINGS.get(each, str(each)) for each in sorted(swelling))
        raise ShardError(f"the shard is encoded as {names}, which none of ours is; pack it again")


def _columns(handle: pa.NativeFile, size_bytes: int) -> list[dict[int, Any]]:
    """What the footer says of each column of each row group: Parquet's ColumnMetaData, by the numbers of its fields."""
    n_bytes, _ = _END.unpack(handle.read_at(_END.size, size_bytes - _END.size))
    footer = thrift.read_struct(handle.read_at(n_bytes, size_bytes - _END.size - n_bytes))
    return [column[3] for row_group in footer[4] for column in row_group[1]]
