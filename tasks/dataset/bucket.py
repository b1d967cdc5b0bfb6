"""A dataset in a bucket: what layouts, plans and workers ask of it, from listings where they are enough."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.digests import content_digest
from tasks.audio.source import Remote

LONG_BYTES = 32 << 20
"""A recording longer than this is read in ranges, a shorter one at once into memory."""
_STAMPS_KEPT = 300_000


class Stamp(NamedTuple):
    """What tells a recording from what it was, without reading it.

    mtime_ns: time of its last change; of an object 63 bits of a digest of its ETag, which another content changes.
    """

    size_bytes: int
    mtime_ns: int


class Object(Protocol):
    """An object as it was looked at."""

    @property
    def key(self) -> str:
        """Below the prefix."""

    @property
    def size_bytes(self) -> int:
        """All of it."""

    @property
    def version(self) -> str:
        """Its ETag."""


class Objects(Protocol):
    """Objects below a URL. Every method raises FileNotFoundError, or a ConnectionError when the network fails."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""

    def head(self, key: str) -> Object:
        """The object as it is now."""

    def looked_at(self, key: str, most_bytes: float) -> tuple[Object, bytes | None]:
        """The object as it is now, and its bytes where they are no more than that."""

    def get_range(self, key: str, version: str, start: int, stop: int) -> bytes:
        """Bytes from start to before stop of this version of the object."""

    def listed(self, prefix: str) -> Iterator[Object]:
        """Every object below a prefix, in the order of their keys."""

    def folder(self, prefix: str) -> tuple[Sequence[str], Sequence[Object]]:
        """Folders and objects right below a prefix."""

    def holds_anything(self) -> bool:
        """Whether any object is below the URL."""


class Fetched(NamedTuple):
    """A recording that can be read, and the stamp of the version that is read."""

    stamp: Stamp
    place: Remote


class Bucket:
    """The objects below a prefix as a dataset's folder; uris are keys below it.

    table_uri: of the csv that was asked for by name, "" where the folder was.
    """

    def __init__(self, objects: Objects, table_uri: str = "") -> None:
        self._objects, self.table_uri = objects, table_uri
        self._stamps: OrderedDict[str, Stamp] = OrderedDict()
        self._tables: Path | None = None

    def __str__(self) -> str:
        return self._objects.url

    def walk(self, base: str) -> Iterator[str]:
        """The uris of all objects below a folder, in their own order; memory does not follow their number."""
        for found in self._objects.listed(base):
            yield self._noted(found)

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Names of folders and of files right in a folder, sorted."""
        folders, found = self._objects.folder(folder)
        names = [self._noted(each).rpartition("/")[2] for each in found]
        return sorted(each.rpartition("/")[2] for each in folders), sorted(names)

    def has(self, uri: str) -> bool:
        """Whether there is such an object."""
        try:
            self.stamp(uri)
        except FileNotFoundError:
            return False
        return True

    def stamp(self, uri: str) -> Stamp:
        """As listed a moment ago, or else asked for now. Raises FileNotFoundError."""
        if uri not in self._stamps:
            self._noted(self._objects.head(uri))
        return self._stamps[uri]

    def fetched(self, uri: str) -> Fetched:
        """The recording as it is now, its bytes read already unless it is long. Raises FileNotFoundError."""
        found, content = self._objects.looked_at(uri, LONG_BYTES)
        name = uri.rpartition("/")[2]
        if content is None:
            version = found.version
            ranges = self._objects.get_range
            place = Remote(name, found.size_bytes, lambda start, stop: ranges(uri, version, start, stop))
        else:
            place = Remote(name, len(content), lambda start, stop: content[start:stop])
        return Fetched(_stamp(found), place)

    def table(self, uri: str) -> Path:
        """A csv as a file on this machine, for as long as this object lives. Raises FileNotFoundError."""
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
        """Whether any object is below the prefix."""
        return self._objects.holds_anything()

    def _noted(self, found: Object) -> str:
        self._stamps[found.key] = _stamp(found)
        if len(self._stamps) > _STAMPS_KEPT:
            self._stamps.popitem(last=False)
        return found.key


def _stamp(found: Object) -> Stamp:
    return Stamp(found.size_bytes, int(content_digest(found.version.encode())[:16], 16) >> 1)
