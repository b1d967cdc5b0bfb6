"""The store in a folder: on this machine, or shared by all.

File names are plain strings here. `Path` interns each of its parts; the table of interned strings grows by megabytes
when it is full, and early releases of Python 3.12 never remove a string from it (python/cpython issue 113993).
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from db.store.keys import parts
from db.store.marker import FOLDER, is_ledger_id, marker_key, not_the_store
from db.store.verified_reading import VerifiedReading
from domain.digests import file_digest
from domain.stored_file import StoredFile, require_size

UNFINISHED = ".unfinished"
"""Folder of files being written; inside the store, so that a rename stays on one disk. Crashes leave files there."""


class FolderStore(VerifiedReading):
    """A folder of files.

    A file gets its final name only after all its bytes are on the disk: temporary file, fsync, rename.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._marker = self._ledger = ""

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.folder)

    def require_reachable(self) -> None:
        """Do nothing: the folder is created when it is needed."""

    def local(self, key: str) -> Path:
        """The path of the key's file, which need not exist. Raises: ValueError for a key that leaves the folder."""
        return Path(self._file(key))

    def put(self, key: str, data: bytes) -> int:
        """Write the bytes under the key; return their number. Writing the same key again is harmless."""
        with self._writing(key) as temporary, open(temporary, "wb") as file:
            return file.write(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """Yield a temporary path to fill. It gets the key's name if the block succeeds, and is deleted if it fails."""
        with self._writing(key) as temporary:
            yield Path(temporary)

    @contextmanager
    def _writing(self, key: str) -> Iterator[str]:
        self._require_own()  # a bare mount point must not be filled
        final, unfinished = self._file(key), os.path.join(self.folder, UNFINISHED)
        folder = os.path.dirname(final)
        os.makedirs(folder, exist_ok=True)
        os.makedirs(unfinished, exist_ok=True)
        # The suffix stays last, because Keras chooses the file format by it.
        temporary = os.path.join(unfinished, f"{secrets.token_hex(8)}{os.path.splitext(final)[1]}")
        try:
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, final)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _to_disk(folder)  # or the new name might be lost in a power failure
        if self._marker and _device(self._marker) != _device(final):  # unmounted or mounted meanwhile
            raise not_the_store(self.location, self._ledger)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes unverified, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before reading, if there are more than most_bytes.
        """
        with self._open(key) as file:
            require_size(key, os.fstat(file.fileno()).st_size, most_bytes)
            return file.read()

    def _open(self, key: str) -> BinaryIO:
        """Open the key's file. Raises: FileNotFoundError; StoreUnreachable if the whole store is away."""
        try:
            return open(self._file(key), "rb")
        except FileNotFoundError:
            self._require_own()
            raise

    def _require_own(self) -> None:
        """Raise StoreUnreachable if the store is bound to a ledger and does not hold its marker."""
        if self._marker and not os.path.exists(self._marker):
            raise not_the_store(self.location, self._ledger)

    def _file(self, key: str) -> str:
        return os.path.join(self.folder, *parts(key))

    @contextmanager
    def local_files(self) -> Iterator[Callable[[str, str | None], StoredFile]]:
        """Yield `local_file`: a folder needs no copies."""
        yield self.local_file

    def local_file(self, key: str, sha256: str | None) -> StoredFile:
        """Return the key's file. Raises: FileNotFoundError."""
        path = self.local(key)
        if key not in self:
            raise FileNotFoundError(f"{key} is not in {self.folder}")
        return StoredFile(key, path, sha256, time.time())

    def remove(self, key: str) -> None:
        """Delete the key's file, if there is one."""
        self.local(key).unlink(missing_ok=True)

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises: FileNotFoundError."""
        with self._open(key) as file:
            return file_digest(file)

    def unfinished_files(self, older_s: float) -> list[Path]:
        """Unfinished files that have not been changed for `older_s` seconds: their writer has crashed."""
        before_s = time.time() - older_s
        found = self.folder.glob(f"{UNFINISHED}/*")
        return [path for path in found if (stat := stat_or_none(path)) and stat.st_mtime < before_s]

    def address(self, key: str) -> str:
        """The file's path."""
        return str(self.local(key))

    def __contains__(self, key: str) -> bool:
        if os.path.isfile(self._file(key)):
            return True
        self._require_own()
        return False

    def create(self, key: str, data: bytes) -> None:
        """Write the bytes under the key unless it has a file already."""
        path = self._file(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with suppress(FileExistsError), open(path, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def ledgers(self) -> list[str]:
        """The ids of the ledgers that have a marker here, sorted."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return sorted(filter(is_ledger_id, os.listdir(os.path.join(self.folder, FOLDER))))
        return []

    def bind(self, ledger: str) -> None:
        """From now on, check for the ledger's marker, as `Store.bind` says."""
        self._ledger, self._marker = ledger, self._file(marker_key(ledger))


def stat_or_none(path: Path) -> os.stat_result | None:
    """The file's status; None if it cannot be read, as when its writer has just renamed it."""
    try:
        return path.stat()
    except OSError:
        return None


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except FileNotFoundError:
        return None


def _to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
