"""A dataset in a bucket of an object store, for layouts, plans and workers. Listings are used instead of requests."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.bucket_object import BucketObject
from domain.digests import content_digest
from tasks.audio.source import Remote

LONG_BYTES = 32 << 20
"""Recordings up to this size are read into memory at once; larger ones are read in ranges."""
_STAMPS_KEPT = 300_000


class Stamp(NamedTuple):
    """Detects a changed recording without reading it.

    mtime_ns: modification time of a file; for an object, 63 bits of a digest of its ETag, which changes with its bytes.
    """

    size_bytes: int
    mtime_ns: int


class BucketReader(Protocol):
    """Reads the objects below a URL; `db.store.objects.Objects` is one.

    Every method raises FileNotFoundError if the object does not exist, and ConnectionError if the network fails.
    """

    @property
    def url(self) -> str:
        """The URL, without a slash at its end."""

    def head(self, key: str) -> BucketObject:
        """Return the object's current metadata."""

    def get_object(self, key: str, most_bytes: float) -> tuple[BucketObject, bytes | None]:
        """Return the object's current metadata, and its bytes if there are at most `most_bytes`, else None."""

    def get_range(self, key: str, version: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to, but not including, `stop` of this version of the object."""

    def list_objects(self, prefix: str) -> Iterator[BucketObject]:
        """Yield every object below a prefix, in the order of the keys."""

    def folder(self, prefix: str) -> tuple[Sequence[str], Sequence[BucketObject]]:
        """Return the folders and objects directly below a prefix."""

    def holds_anything(self) -> bool:
        """Return whether any object is below the URL."""


class Fetched(NamedTuple):
    """A recording to read, and the stamp of the version that is read."""

    stamp: Stamp
    place: Remote


class Bucket:
    """The objects below a prefix, used like a dataset's folder. URIs are keys below the prefix.

    table_uri: the URI of the csv if the user gave one; "" if the user gave a folder.
    """

    def __init__(self, objects: BucketReader, table_uri: str = "") -> None:
        self._objects, self.table_uri = objects, table_uri
        self._stamps: OrderedDict[str, Stamp] = OrderedDict()
        self._tables: Path | None = None

    def __str__(self) -> str:
        return self._objects.url

    def walk(self, base: str) -> Iterator[str]:
        """Yield the URIs of all objects below a folder, in the order of the keys. Memory is bounded."""
        for found in self._objects.list_objects(base):
            yield self._remember(found)

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the sorted names of the folders and of the files directly in a folder."""
        folders, found = self._objects.folder(folder)
        names = [self._remember(each).rpartition("/")[2] for each in found]
        return sorted(each.rpartition("/")[2] for each in folders), sorted(names)

    def has(self, uri: str) -> bool:
        """Return whether the object exists."""
        try:
            self.stamp(uri)
        except FileNotFoundError:
            return False
        return True

    def stamp(self, uri: str) -> Stamp:
        """Return the stamp of an object, from the last listing if it was listed, else by a request.

        Raises: FileNotFoundError if the object does not exist.
        """
        if uri not in self._stamps:
            self._remember(self._objects.head(uri))
        return self._stamps[uri]

    def fetched(self, uri: str) -> Fetched:
        """Open the current version of a recording; up to LONG_BYTES are read at once.

        Raises: FileNotFoundError if the object does not exist.
        """
        found, content = self._objects.get_object(uri, LONG_BYTES)
        name = uri.rpartition("/")[2]
        if content is None:
            version = found.version
            ranges = self._objects.get_range
            place = Remote(name, found.size_bytes, lambda start, stop: ranges(uri, version, start, stop))
        else:
            place = Remote(name, len(content), lambda start, stop: content[start:stop])
        return Fetched(_stamp(found), place)

    def table(self, uri: str) -> Path:
        """Download a csv and return its local path. The file exists as long as this object.

        Raises: FileNotFoundError if the object does not exist.
        """
        if self._tables is None:
            self._tables = Path(tempfile.mkdtemp(prefix="chorus-tables-"))
            weakref.finalize(self, shutil.rmtree, self._tables, ignore_errors=True)
        path = self._tables / uri
        if not path.exists():
            fetched = self.fetched(uri).place
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for at in range(0, fetched.size_bytes, LONG_BYTES):
                    file.write(fetched.fetch(at, min(at + LONG_BYTES, fetched.size_bytes)))
        return path

    def holds_anything(self) -> bool:
        """Return whether any object is below the prefix."""
        return self._objects.holds_anything()

    def _remember(self, found: BucketObject) -> str:
        self._stamps[found.key] = _stamp(found)
        if len(self._stamps) > _STAMPS_KEPT:
            self._stamps.popitem(last=False)
        return found.key


def _stamp(found: BucketObject) -> Stamp:
    return Stamp(found.size_bytes, int(content_digest(found.version.encode())[:16], 16) >> 1)
