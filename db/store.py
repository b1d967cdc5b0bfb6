"""The store: files by key, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Store:
    """A folder; keys are relative POSIX paths made from content digests.

    A file has its final name only when all its bytes are on the disk: temporary file beside it, fsync, rename.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def local(self, key: str) -> Path:
        """Where the key's file is, or would be. Raises ValueError for a key that leaves the folder."""
        parts = key.split("/")
        if not key or key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
            raise ValueError(f"store key {key!r:.80} is not a relative path without dots")
        return self.folder.joinpath(*parts)

    def put(self, key: str, data: bytes) -> int:
        """Writes the bytes under the key; returns their number. The same key again simply writes the same bytes."""
        with self.writing(key) as temporary:
            temporary.write_bytes(data)
        return len(data)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary path to fill; it takes the key's name when the block ends well, and vanishes when it does not."""
        final = self.local(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays last: Keras chooses its format by it.
        temporary = final.with_name(f".{secrets.token_hex(6)}.part{final.suffix}")
        try:
            yield temporary
            _to_disk(temporary)
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
        _to_disk(final.parent)

    def get(self, key: str) -> bytes:
        """The key's bytes. Raises FileNotFoundError."""
        return self.local(key).read_bytes()

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises FileNotFoundError."""
        with self.local(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __contains__(self, key: str) -> bool:
        return self.local(key).is_file()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
