"""Recordings of a bucket are fetched ahead, once each; each kind of fault has its own error."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest

from db.ledger.claims import ItemClaim
from db.store.objects import ObjectChanged, StoreUnreachable
from domain.bucket_object import BucketObject
from domain.errors import Changed, MachineFault, Missing
from tasks.dataset import bucket
from tasks.dataset.bucket import Bucket
from tasks.runtime import sources
from tasks.runtime.sources import Sources

ROOT = "s3://birds/data"


class FakeObjects:
    """Objects in memory that record the requests for them."""

    url = ROOT

    def __init__(self, **contents: bytes) -> None:
        self.contents = {f"{name}.wav": content for name, content in contents.items()}
        self.asked: list[str] = []
        self.is_asked = threading.Condition()
        self.error: OSError | None = None

    def head(self, key: str) -> BucketObject:
        content = self.contents.get(key)
        if content is None:
            raise FileNotFoundError(key)
        return BucketObject(key, len(content), hashlib.md5(content).hexdigest())

    def get_object(self, key: str, most_bytes: float) -> tuple[BucketObject, bytes | None]:
        with self.is_asked:
            self.asked.append(key)
            self.is_asked.notify_all()
        if self.error:
            raise self.error
        found = self.head(key)
        return found, self.contents[key] if found.size_bytes <= most_bytes else None

    def get_range(self, key: str, version: str, start: int, stop: int) -> bytes:
        if self.head(key).version != version:
            raise ObjectChanged(key)
        return self.contents[key][start:stop]

    def list_objects(self, prefix: str) -> Iterator[BucketObject]:
        return iter([self.head(key) for key in self.contents])

    def folder(self, prefix: str) -> tuple[list[str], list[BucketObject]]:
        return [], list(self.list_objects(prefix))

    def holds_anything(self) -> bool:
        return bool(self.contents)


def claim(name: str, span: int = 0, content: bytes | None = None, *, is_made: bool = False) -> ItemClaim:
    digest = "" if content is None else hashlib.sha256(content).hexdigest()
    size = 0 if content is None else len(content)
    return ItemClaim(
        id=hash((name, span)), fence=1, root=ROOT, uri=f"{name}.wav", digest=digest, size_bytes=size, mtime_ns=0,
        span=span, copy=0, pipeline_id=1, pipeline={}, is_on_trust=content is None, is_made=is_made,
    )  # fmt: skip


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> FakeObjects:
    fake = FakeObjects(a=b"aaa", b=b"bbb", c=b"ccc")
    monkeypatch.setattr(sources, "_bucket", lambda *_: Bucket(fake))
    return fake


def read(of: Sources, wanted: ItemClaim) -> bytes:
    with of.reading(wanted) as opened:
        return opened.place.fetch(0, opened.stamp.size_bytes)  # type: ignore[union-attr]


def test_the_next_recording_is_fetched_while_one_is_worked_on_and_no_further_one(objects: FakeObjects) -> None:
    claims = [claim("a"), claim("b"), claim("c")]
    with Sources(claims) as of, of.reading(claims[0]), objects.is_asked:
        assert objects.is_asked.wait_for(lambda: objects.asked == ["a.wav", "b.wav"], timeout=5)
        assert not objects.is_asked.wait_for(lambda: len(objects.asked) > 2, timeout=0.2)


def test_spans_and_copies_of_a_recording_are_fetched_once_and_those_made_already_never(objects: FakeObjects) -> None:
    claims = [claim("a", 0), claim("a", 1), claim("b", 0, is_made=True), claim("c", 0), claim("c", 1)]
    with Sources(claims) as of:
        got = [read(of, each) for each in claims if not each.is_made]
    assert got == [b"aaa", b"aaa", b"ccc", b"ccc"]
    assert objects.asked == ["a.wav", "c.wav"]


def test_a_recording_that_is_gone_is_missing_unless_the_whole_dataset_is(objects: FakeObjects) -> None:
    with Sources([claim("never")]) as of:
        with pytest.raises(Missing, match=r"never\.wav"):
            read(of, claim("never"))
        objects.contents.clear()
        with pytest.raises(MachineFault, match="bucket"):
            read(of, claim("a"))


def test_other_bytes_than_planned_are_a_change_and_another_etag_of_the_same_bytes_is_none(objects: FakeObjects) -> None:
    with Sources([claim("a", content=b"aaa")]) as of:
        assert read(of, claim("a", content=b"aaa")) == b"aaa"
        with pytest.raises(Changed, match=r"a\.wav had 4 bytes and has 3"):
            read(of, claim("a", content=b"else"))


def test_a_long_recording_replaced_while_it_is_read_has_changed(
    objects: FakeObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "LONG_BYTES", 2)
    with (
        Sources([claim("a")]) as of,
        pytest.raises(Changed, match="replaced while it was read"),
        of.reading(claim("a")) as opened,
    ):
        assert opened.place.fetch(0, 2) == b"aa"  # type: ignore[union-attr]
        objects.contents["a.wav"] = b"xyz"
        opened.place.fetch(2, 3)  # type: ignore[union-attr]


def test_a_network_that_fails_is_an_oserror_for_each_claim_it_meets(objects: FakeObjects) -> None:
    claims = [claim("a"), claim("b")]
    objects.error = StoreUnreachable("no server answers")
    with Sources(claims) as of:
        for each in claims:
            with pytest.raises(OSError, match="no server answers"):
                read(of, each)
