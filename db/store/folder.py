"""The store in a folder: on this machine, or shared by all.

Names of files are plain strings here. A `Path` enters each of its parts into the interpreter's table of interned
strings: that is made anew, megabytes larger, when its places are used up, and the early releases of Python 3.12 never
take a string out again (python/cpython issue 113993).
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from db.store.keys import parts
from db.store.verified_reading import VerifiedReading
from domain.digests import file_digest
from domain.stored_file import StoredFile, require_size

UNFINISHED = ".unfinished"
"""Folder of files being written, in the store itself so that a rename stays on one disk; a crash leaves some there."""


class FolderStore(VerifiedReading):
    """A folder of files.

    A file has its final name only when all its bytes are on the disk: temporary file, fsync, rename.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def shown(self) -> str:
        """The folder."""
        return str(self.folder)

    def require_reachable(self) -> None:
        """Nothing: a folder is made when it is needed."""

    def local(self, key: str) -> Path:
        """Where the key's file is, or would be. Raises ValueError for a key that leaves the folder."""
        return Path(self._file(key))

    def put(self, key: str, data: bytes) -> int:
        """Writes the bytes under the key; returns their number. The same key again simply writes the same bytes."""
        with self._writing(key) as temporary, open(temporary, "wb") as file:
            return file.write(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary path to fill; it takes the key's name when the block ends well, and vanishes when it does not."""
        with self._writing(key) as temporary:
            yield Path(temporary)

    @contextmanager
    def _writing(self, key: str) -> Iterator[str]:
        final, unfinished = self._file(key), os.path.join(self.folder, UNFINISHED)
        folder = os.path.dirname(final)
        os.makedirs(folder, exist_ok=True)
        os.makedirs(unfinished, exist_ok=True)
        # The suffix stays last: Keras chooses its format by it.
        temporary = os.path.join(unfinished, f"{secrets.token_hex(8)}{os.path.splitext(final)[1]}")
        try:
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, final)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _to_disk(folder)

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes as they are, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before any is read, where they are more than most_bytes.
        """
        with open(self._file(key), "rb") as file:
            require_size(key, os.fstat(file.fileno()).st_size, most_bytes)
            return file.read()

    def _file(self, key: str) -> str:
        return os.path.join(self.folder, *parts(key))

    @contextmanager
    def lending(self) -> Iterator[Callable[[str, str | None], StoredFile]]:
        """Lend the files themselves."""
        yield self.lend

    def lend(self, key: str, sha256: str | None) -> StoredFile:
        """Return the key's file. Raises: FileNotFoundError."""
        path = self.local(key)
        if not path.is_file():
            raise FileNotFoundError(f"{key} is not in {self.folder}")
        return StoredFile(key, path, sha256, time.time())

    def remove(self, key: str) -> None:
        """Takes the key away; nothing happens where it is not there."""
        self.local(key).unlink(missing_ok=True)

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises FileNotFoundError."""
        with self.local(key).open("rb") as file:
            return file_digest(file)

    def abandoned(self, older_s: float) -> list[Path]:
        """Files whose writer ended before they were whole, not touched for so long."""
        before_s = time.time() - older_s
        found = self.folder.glob(f"{UNFINISHED}/*")
        return [path for path in found if (stat := stat_or_none(path)) and stat.st_mtime < before_s]

    def address(self, key: str) -> str:
        """The file's path."""
        return str(self.local(key))

    def __contains__(self, key: str) -> bool:
        return self.local(key).is_file()


def stat_or_none(path: Path) -> os.stat_result | None:
    """What the disk knows of the file; None where it does not say, as when its writer has renamed it meanwhile."""
    try:
        return path.stat()
    except OSError:
        return None


def _to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
