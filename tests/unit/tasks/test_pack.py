"""Packing checks strips and indexes before it uses them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from db.queries.job_inputs import StripRow
from db.store.folder import FolderStore
from domain.digests import Digest, content_digest
from domain.errors import Damaged, MachineFault
from tasks import pack
from tasks.audio.strip import Strip, encode
from tasks.runtime.span_files import SpanFileMissing, read_span_file


def row(size_bytes: int, sha256: str = "f" * 64) -> StripRow:
    return StripRow(
        key="strips/a.png", sha256=sha256, recording="a.wav", digest="d" * 64, label="wren", group="Ann",
        span=0, copy=0, size_bytes=size_bytes, metadata=(None,) * 4,
    )  # fmt: skip


def test_a_strip_larger_than_recorded_is_damaged_and_not_read(tmp_path: Path) -> None:
    store, whole = FolderStore(tmp_path), row(100_000, content_digest(bytes(100_000)))
    store.put("strips/a.png", bytes(100_000))
    assert len(read_span_file(store, whole)) == 100_000
    store.local("strips/a.png").write_bytes(b"")
    with store.local("strips/a.png").open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(Damaged, match=r"a\.png has 1099511627776 bytes, more than 100000"):
        read_span_file(store, whole)


def test_a_strip_that_changed_is_damaged(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put("strips/a.png", b"12354")
    with pytest.raises(Damaged, match=r"a\.png is not what was written"):
        read_span_file(store, row(5, content_digest(b"12345")))


def test_a_missing_strip_is_told_from_a_store_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(SpanFileMissing, match=r"strips/a\.png"):
        read_span_file(FolderStore(tmp_path), row(10))


@pytest.mark.parametrize("other", [{"digest": "e" * 64}, {"span": 1}, {"copy": 1}])
def test_a_strip_of_another_recording_span_copy_or_pipeline_is_not_packed(other: dict[str, Any]) -> None:
    image, features = np.zeros((48, 128), np.uint8), np.zeros((1, 15), np.float32)
    data = encode(Strip(image, features, "d" * 64, 0, 0, "p" * 64, {}, tuple(range(len(features)))))
    run: Any = SimpleNamespace(pipeline_digest="p" * 64)
    assert pack._strip(data, run, row(10)).recording_digest == "d" * 64
    with pytest.raises(Damaged, match=r"a\.png contains the strip of another recording, span or copy"):
        pack._strip(data, run, replace(row(10), **other))
    with pytest.raises(Damaged, match="another pipeline"):
        pack._strip(data, SimpleNamespace(pipeline_digest="q" * 64), row(10))  # type: ignore[arg-type]


def test_strips_removed_from_the_ledger_during_packing_end_the_packing() -> None:
    rows = [row(10), replace(row(10), span=1)]
    name = pack._PartName(Digest())
    assert list(name.add_rows(rows)) == rows
    assert list(pack._unchanged(rows, name.text, pack._PartName(Digest()))) == rows
    fewer = pack._unchanged(rows[:1], name.text, pack._PartName(Digest()))
    assert next(fewer) == rows[0]
    with pytest.raises(MachineFault, match="changed during packing"):
        next(fewer)


KEY = "shards/a/index.json"
INDEX: dict[str, Any] = {
    "key": "shards/a", "shards": ["shards/a/00000.parquet"], "sha256": ["0" * 64], "n_examples": 70,
    "label_counts": {"0": 30, "1": 40},
}  # fmt: skip


def test_an_index_counts_only_if_this_ledger_recorded_it(tmp_path: Path) -> None:
    store, whole = FolderStore(tmp_path), pack._index_bytes(INDEX)
    assert pack._index(store, KEY, content_digest(whole)) is None, "it is gone"
    store.put(KEY, whole)
    assert pack._index(store, KEY, content_digest(whole)) == INDEX
    assert pack._index(store, KEY, None) is None, "another ledger wrote it"
    assert pack._index(store, KEY, content_digest(b"another")) is None


@pytest.mark.parametrize("text", ["", "{", "5", "null", "[]", '{"key": "shards/a"}', "\udcff"])
def test_an_invalid_index_is_ignored(tmp_path: Path, text: str) -> None:
    store = FolderStore(tmp_path)
    store.put(KEY, text.encode(errors="surrogateescape"))
    assert pack._index(store, KEY, content_digest(pack._index_bytes(INDEX))) is None


def test_an_index_with_one_changed_bit_is_ignored(tmp_path: Path) -> None:
    store, whole = FolderStore(tmp_path), pack._index_bytes(INDEX)
    store.put(KEY, whole)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        store.local(KEY).write_bytes(damaged)
        assert pack._index(store, KEY, content_digest(whole)) is None, bytes(damaged)
    store.local(KEY).write_bytes(whole)
    assert pack._index(store, KEY, content_digest(whole)) is not None
