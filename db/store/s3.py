"""The store below an S3 URL. S3 shows an object only after its last byte, so each is there completely or not at all."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from db.store.cache import Cache
from db.store.keys import parts
from db.store.marker import FOLDER, is_ledger_id, marker_key, not_the_store
from db.store.objects import Objects
from db.store.verified_reading import VerifiedReading
from domain.digests import digest_of, pieces_digest
from domain.stored_file import StoredFile, TooLarge


class BucketStore(VerifiedReading):
    """Objects below a prefix; local copies of files come from a cache."""

    def __init__(self, objects: Objects, cache: Cache) -> None:
        self._objects, self._cache = objects, cache
        self._ledger = ""

    @property
    def location(self) -> str:
        """The URL."""
        return self._objects.url

    def require_reachable(self) -> None:
        """Check that the bucket can be listed. Raises: StoreUnreachable."""
        next(self._objects.list_objects(), None)

    def put(self, key: str, data: bytes) -> int:
        """Write the bytes under the key; return their number. Writing the same key again is harmless."""
        self._objects.put(_checked(key), data)
        return len(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield a temporary path to fill. It is uploaded under the key if the block succeeds, and always deleted."""
        with tempfile.TemporaryDirectory(prefix="chorus-") as folder:
            # The suffix stays last, because Keras chooses the file format by it.
            path = Path(folder) / f"unfinished{PurePosixPath(_checked(key)).suffix}"
            yield path
            self._objects.put(key, path)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes unverified, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before reading, if there are more than most_bytes.
        """
        with self._missing():
            found, content = self._objects.get_object(_checked(key), most_bytes)
        if content is None:
            raise TooLarge(f"{key} has {found.size_bytes} bytes, more than {most_bytes:.0f}")
        return content

    @contextmanager
    def local_files(self) -> Iterator[Callable[[str, str | None], StoredFile]]:
        """Yield a function that opens local copies; each is fetched on first use."""
        with self._cache.local_files() as files:

            def local_file(key: str, sha256: str | None) -> StoredFile:
                with self._missing():
                    found = self._objects.head(_checked(key))
                # The version is in the name: a replaced object is another file of the cache.
                name = digest_of([self.location, key, found.version])[:32]
                suffix = PurePosixPath(key).suffix
                path = files.file(
                    name + suffix,
                    lambda path: self._objects.download(found, path),
                    lambda path: StoredFile(key, path, sha256).require_whole(),
                )
                return StoredFile(key, path, sha256, time.time())

            yield local_file

    def remove(self, key: str) -> None:
        """Delete the key's object, if there is one."""
        self._objects.remove(_checked(key))

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises: FileNotFoundError."""
        with self._missing():
            return pieces_digest(self._objects.parts(self._objects.head(_checked(key))))

    def unfinished_files(self, older_s: float) -> list[Path]:  # noqa: ARG002  # the interface's signature
        """None: an unfinished upload is no object, and the bucket's own rules delete its parts."""
        return []

    def address(self, key: str) -> str:
        """The object's URL."""
        return f"{self.location}/{_checked(key)}"

    def __contains__(self, key: str) -> bool:
        try:
            with self._missing():
                self._objects.head(_checked(key))
        except FileNotFoundError:
            return False
        return True

    def create(self, key: str, data: bytes) -> None:
        """Write the bytes under the key unless it has an object already."""
        self._objects.create(_checked(key), data)

    def ledgers(self) -> list[str]:
        """The ids of the ledgers that have a marker here, sorted."""
        names = (found.key.rpartition("/")[2] for found in self._objects.list_objects(FOLDER))
        return sorted(filter(is_ledger_id, names))

    def bind(self, ledger: str) -> None:
        """From now on, check for the ledger's marker before an object is reported as missing.

        A prefix cannot be unmounted, so writing asks no further question of the server.
        """
        self._ledger = ledger

    @contextmanager
    def _missing(self) -> Iterator[None]:
        """Replace the error of a missing object by StoreUnreachable if the marker is missing too."""
        try:
            yield
        except FileNotFoundError:
            if self._ledger:
                try:
                    self._objects.head(marker_key(self._ledger))
                except FileNotFoundError as error:
                    raise not_the_store(self.location, self._ledger) from error
            raise


def _checked(key: str) -> str:
    return "/".join(parts(key))
