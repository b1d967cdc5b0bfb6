"""Whatever byte of a stored file changes, no reader gets it: strips, shards, bundles, indexes and evaluations.

Asked of a folder, and of a bucket through its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.store.cache import Cache
from db.store.folder import FolderStore
from db.store.interface import Store
from db.store.s3 import BucketStore
from domain.digests import content_digest
from domain.errors import Damaged
from tasks.model.bundle import archive
from tests.hostile import shard_bytes, strip_bytes


class Bucket:
    """Objects in memory, as `db.store.objects.Objects` gives them. Their version stays when a byte rots."""

    url = "s3://bucket/prefix"

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, key: str, content: bytes) -> None:
        self.held[key] = content

    def head(self, key: str) -> Any:
        return SimpleNamespace(key=key, size_bytes=len(self.held[key]), version="1")

    def get_object(self, key: str, most_bytes: float) -> tuple[Any, bytes | None]:
        found = self.head(key)
        return found, self.held[key] if found.size_bytes <= most_bytes else None

    def download(self, found: Any, path: Path) -> None:
        path.write_bytes(self.held[found.key])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return {
        "strips/a.png": strip_bytes(tmp_path_factory.mktemp("strip")),
        "shards/a/00000.parquet": shard_bytes(),
        "models/a.keras": archive.pack(dict.fromkeys(archive.MEMBERS, b"{}" * 50)),
        "shards/a/index.json": b'{"sha256": "0", "index": {}}',
        "evaluations/a.json": b"{}",
    }


def folder(path: Path) -> tuple[Store, Callable[[str, bytes], object]]:
    store = FolderStore(path / "store")
    return store, lambda key, content: store.local(key).write_bytes(content)


def bucket(path: Path) -> tuple[Store, Callable[[str, bytes], object]]:
    """The server's object rots, and so do all copies in the cache."""
    objects: Any = Bucket()

    def rot(key: str, content: bytes) -> None:
        objects.put(key, content)
        for kept in (path / "cache" / "kept").iterdir():
            kept.write_bytes(content)

    return BucketStore(objects, Cache(path / "cache", 1 << 30)), rot


def changed(content: bytes, at: float, how: str) -> bytes:
    place = min(int(at * len(content)), len(content) - 1)
    if how == "cut":
        return content[:place]
    if how == "longer":
        return content + content[:1]
    return content[:place] + bytes([content[place] ^ 1 << int(how)]) + content[place + 1 :]


@pytest.mark.parametrize("kind", [folder, bucket])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 1), how=st.sampled_from([*"01234567", "cut", "longer"]))
def test_a_changed_file_is_found_when_it_is_read(
    kind: Callable[[Path], Any], at: float, how: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    store, rot = kind(tmp_path)
    for key, content in whole.items():
        sha256 = content_digest(content)
        store.put(key, content)
        with store.local_files() as local_file:
            assert local_file(key, sha256).read() == store.get(key, sha256) == content
        rot(key, changed(content, at, how))
        with pytest.raises(Damaged, match=key):
            store.get(key, sha256)
        with store.local_files() as local_file, pytest.raises(Damaged, match=key):
            local_file(key, sha256).read()


@pytest.mark.parametrize("key", ["strips/a.png", "models/a.keras"])
def test_every_single_byte_counts(key: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    store, content = FolderStore(tmp_path), whole[key]
    store.put(key, content)
    file = store.local_file(key, content_digest(content))
    assert file.read() == content
    with file.path.open("r+b", buffering=0) as damaged:
        for at in range(len(content)):
            damaged.seek(at)
            damaged.write(bytes([content[at] ^ 1]))
            with pytest.raises(Damaged):
                file.read()
            damaged.seek(at)
            damaged.write(content[at : at + 1])
    assert file.read() == content


def test_the_cache_fetches_a_rotten_copy_again_where_the_server_has_the_file(tmp_path: Path) -> None:
    store, rot = bucket(tmp_path)
    store.put("models/a.keras", b"whole")
    sha256 = content_digest(b"whole")
    with store.local_files() as local_file:
        assert local_file("models/a.keras", sha256).read() == b"whole"
    rot("models/a.keras", b"wholf")
    store.put("models/a.keras", b"whole")
    with store.local_files() as local_file:
        assert local_file("models/a.keras", sha256).read() == b"whole"
