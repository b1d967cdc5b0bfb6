"""Bytes from elsewhere, changed at random: each is read or has a typed reason; no crash, soon, in little memory.

Seeds are the broken recordings of other projects' test suites, where they are at hand, and whole files of our own.
"""

from __future__ import annotations

import ctypes
import io
import zipfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.store.folder import FolderStore
from domain.digests import content_digest
from domain.errors import Damaged, Unusable
from tasks.audio.parameters import PresetError
from tasks.audio.preset import Preset, load_preset
from tasks.audio.strip import make_strip, warm
from tasks.dataset.shards.shard import ShardError, read_shard
from tasks.model.bundle import archive
from tasks.model.bundle.archive import BundleError
from tasks.runtime.messages import ItemsMessage, JobMessage, MalformedMessage, UnknownMessage
from tests.fuzzing import fuzzed
from tests.hostile import shard_bytes, strip_bytes
from tests.memory import peak_memory
from tests.shared_data import shared_data

MEGABYTES = 500


@pytest.fixture(scope="module")
def preset() -> Preset:
    return load_preset("birdclef2021")


def test_recordings_changed_at_random_give_a_strip_or_a_reason(tmp_path: Path, preset: Preset) -> None:
    folder = shared_data("bad")
    seeds = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    small = [seed for seed in seeds if 0 < len(seed) < 200_000]

    def read(content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        make_strip(tmp_path / "a", "d" * 64, 0, 0, preset)

    warm(preset)
    with peak_memory() as peak:
        fuzzed(small, read, (Unusable,))
    assert peak.size_bytes < MEGABYTES << 20


def test_memory_that_is_taken_in_c_counts() -> None:
    libc, size_bytes = ctypes.CDLL(None), 64 << 20
    libc.malloc.restype = ctypes.c_void_p
    with peak_memory() as peak:
        piece = ctypes.c_void_p(libc.malloc(size_bytes))
        ctypes.memset(piece, 1, size_bytes)
        libc.free(piece)
    assert peak.size_bytes > size_bytes - (1 << 20)


def test_strips_and_shards_changed_at_random_are_found_before_they_are_parsed(tmp_path: Path) -> None:
    for key, whole in {"strips/a.png": strip_bytes(tmp_path), "shards/a/0.parquet": shard_bytes()}.items():
        store, sha256 = FolderStore(tmp_path / "store"), content_digest(whole)

        def read(content: bytes, key: str = key, sha256: str = sha256, store: FolderStore = store) -> None:
            store.put(key, content)
            for data in (lambda: store.get(key, sha256), lambda: store.local_file(key, sha256).read()):
                assert content_digest(data()) == sha256

        fuzzed([whole], read, (Damaged,))


def test_a_parquet_file_of_another_schema_is_refused() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"spectrogram": ["text"], "label": [1.5]}), sink)
    with pytest.raises(ShardError, match="no shard"):
        read_shard(sink.getvalue())


def test_archives_changed_at_random_are_read_or_refused() -> None:
    whole = archive.pack(dict.fromkeys(archive.MEMBERS, b"{}" * 50))
    fuzzed([whole], archive.unpack, (BundleError,))


def test_an_archive_that_swells_a_thousandfold_is_refused_before_it_does() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for name in archive.MEMBERS:
            file.writestr(name, bytes(100 << 20))
    with peak_memory() as peak, pytest.raises(BundleError, match="compressed"):
        archive.unpack(bomb.getvalue())
    assert peak.size_bytes < 10 << 20


STRANGE = (
    None, True, -1, 0, 1.5, "1", "/etc/passwd", "../../x", [], {"run": 1}, 10**400, float("nan"), [[1]], ["1"], [-1],
)  # fmt: skip
GOOD = {JobMessage: {"version": 1, "run": 1, "job": 1}, ItemsMessage: {"version": 1, "run": 1, "items": [1]}}


@pytest.mark.parametrize("kind", GOOD)
def test_a_message_holds_ids_of_rows_or_is_refused(kind: type[JobMessage | ItemsMessage]) -> None:
    assert kind.from_dict(GOOD[kind])
    for name in GOOD[kind].keys() - {"version"}:
        for value in STRANGE:
            if (name, value) == ("items", []):
                continue  # nothing to do, and nothing is done
            with pytest.raises(MalformedMessage):
                kind.from_dict({**GOOD[kind], name: value})
    with pytest.raises(UnknownMessage):
        kind.from_dict({**GOOD[kind], "version": 2})
    with pytest.raises(MalformedMessage):
        kind.from_dict({**GOOD[kind], "path": "/etc/passwd"})


def test_presets_changed_at_random_are_read_or_refused(tmp_path: Path) -> None:
    builder_of = Path(str(load_preset.__globals__["__file__"])).with_name("presets") / "birdclef2021.toml"

    def read(content: bytes, path: Path) -> None:
        path.write_bytes(content)
        load_preset(str(path))

    fuzzed([builder_of.read_bytes()], partial(read, path=tmp_path / "preset.toml"), (PresetError,))
