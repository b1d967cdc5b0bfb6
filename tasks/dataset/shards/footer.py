"""The footer of a shard, which holds its facts, and the schema of its columns."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import Damaged
from tasks.dataset.shards.metadata import METADATA

MAX_EXAMPLES = 4096

_VERSION = "2"
_VERSION_WITHOUT_METADATA = "1"
FACTS_KEY = b"dawn-chorus-shard"
"""Of the JSON in the footer."""


class ShardError(Damaged):
    """The bytes are not a shard of this version, or the examples cannot be in one shard."""


@dataclass(frozen=True)
class ShardFacts:
    """The facts in a shard's footer.

    shape: (mel, frame) of each spectrogram.  label_counts: examples of each label, ascending.
    is_synthetic: True if a generator made all examples, False if it made none.
    """

    n_examples: int
    label_counts: dict[int, int]
    pipeline_digest: str
    order_digest: str
    shape: tuple[int, int]
    n_features: int
    is_synthetic: bool = False


def schema_of(shape: tuple[int, int], n_features: int) -> pa.Schema:
    """Return the columns of a shard. shape: (mel, frame) of the spectrograms.  n_features: of each example."""
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
        "metadata": _numbers(len(METADATA)),
    }
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in types.items()])


def _numbers(n: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float32(), nullable=False), n)


def with_facts(schema: pa.Schema, facts: ShardFacts) -> pa.Schema:
    """Return the schema with the facts in its footer."""
    values = {
        "version": _VERSION,
        "n_examples": facts.n_examples,
        "label_counts": {str(label): n for label, n in facts.label_counts.items()},
        "pipeline_digest": facts.pipeline_digest,
        "order_digest": facts.order_digest,
        "shape": list(facts.shape),
        "n_features": facts.n_features,
    }
    if facts.is_synthetic:  # absent in shards of real examples, so that these keep their bytes
        values["synthetic"] = True
    return schema.with_metadata({FACTS_KEY: json.dumps(values, separators=(",", ":"))})


def facts_of(parquet: pq.ParquetFile) -> ShardFacts:
    """Return the facts in the footer of a verified Parquet file.

    Raises: ShardError if it is not a shard, or a shard of another version.
    """
    footer = (parquet.metadata.metadata or {}).get(FACTS_KEY)
    if footer is None:
        raise ShardError("this Parquet file is no shard: its footer has no facts")
    facts = json.loads(footer)
    # Shards of version 1 have no metadata; place and time of their examples are unknown.
    if facts["version"] not in (_VERSION, _VERSION_WITHOUT_METADATA):
        raise ShardError(f"shard version {facts['version']!r:.20} is not {_VERSION}; pack it again")
    n_mel, n_frames = facts["shape"]
    return ShardFacts(
        n_examples=facts["n_examples"],
        label_counts={int(label): n for label, n in facts["label_counts"].items()},
        pipeline_digest=facts["pipeline_digest"],
        order_digest=facts["order_digest"],
        shape=(n_mel, n_frames),
        n_features=facts["n_features"],
        is_synthetic=facts.get("synthetic", False),
    )
