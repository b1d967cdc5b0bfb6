"""The store below an S3 URL: an object is there whole or not at all, because S3 shows none before its last byte."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from db.store.cache import Cache
from db.store.keys import parts
from db.store.objects import Objects
from db.store.verified_reading import VerifiedReading
from domain.digests import digest_of, pieces_digest
from domain.stored_file import StoredFile, TooLarge


class BucketStore(VerifiedReading):
    """Objects below a prefix; where a file is needed, one is lent from a cache on this machine."""

    def __init__(self, objects: Objects, cache: Cache) -> None:
        self._objects, self._cache = objects, cache

    @property
    def shown(self) -> str:
        """The URL."""
        return self._objects.url

    def require_reachable(self) -> None:
        """Raises StoreUnreachable unless the bucket can be listed."""
        next(self._objects.listed(), None)

    def put(self, key: str, data: bytes) -> int:
        """Writes the bytes under the key; returns their number. The same key again simply writes the same bytes."""
        self._objects.put(_checked(key), data)
        return len(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary path to fill; it is sent under the key when the block ends well, and vanishes in any case."""
        with tempfile.TemporaryDirectory(prefix="chorus-") as folder:
            # The suffix stays last: Keras chooses its format by it.
            path = Path(folder) / f"unfinished{PurePosixPath(_checked(key)).suffix}"
            yield path
            self._objects.put(key, path)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes as they are, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before any is read, where they are more than most_bytes.
        """
        found, content = self._objects.looked_at(_checked(key), most_bytes)
        if content is None:
            raise TooLarge(f"{key} has {found.size_bytes} bytes, more than {most_bytes:.0f}")
        return content

    @contextmanager
    def lending(self) -> Iterator[Callable[[str, str | None], StoredFile]]:
        """Lend files on this machine, each fetched when it is first asked for."""
        with self._cache.lending() as lent:

            def lend(key: str, sha256: str | None) -> StoredFile:
                found = self._objects.head(_checked(key))
                name = digest_of([self.shown, key, found.version])[:32]
                suffix = PurePosixPath(key).suffix
                path = lent.file(
                    name + suffix,
                    lambda path: self._objects.download(found, path),
                    lambda path: StoredFile(key, path, sha256).require_whole(),
                )
                return StoredFile(key, path, sha256, time.time())

            yield lend

    def remove(self, key: str) -> None:
        """Takes the key away; nothing happens where it is not there."""
        self._objects.remove(_checked(key))

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises FileNotFoundError."""
        return pieces_digest(self._objects.parts(self._objects.head(_checked(key))))

    def abandoned(self, older_s: float) -> list[Path]:  # noqa: ARG002  # as a folder's
        """None: what was never finished is no object, and the bucket's own rules sweep its parts."""
        return []

    def address(self, key: str) -> str:
        """The object's URL."""
        return f"{self.shown}/{_checked(key)}"

    def __contains__(self, key: str) -> bool:
        try:
            self._objects.head(_checked(key))
        except FileNotFoundError:
            return False
        return True


def _checked(key: str) -> str:
    return "/".join(parts(key))
