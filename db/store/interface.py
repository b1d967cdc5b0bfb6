"""The store: files by key, whole or not at all; in a folder, or below an S3 URL."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from db.store.folder import FolderStore
from db.store.objects import SCHEME
from domain.stored_file import StoredFile, TooLarge

__all__ = ["Lend", "Store", "TooLarge", "open_store"]

Lend = Callable[[str, str | None], StoredFile]
"""Return a key's file on this machine, given the key and the recorded SHA-256; reading the file verifies it.

Raises: FileNotFoundError; Damaged, where a copy had to be fetched and is not what was written.
"""


class Store(Protocol):
    """Files by key; keys are relative POSIX paths made from content digests.

    Every method raises ValueError for a key that leaves the store, and OSError when the machine, the network or the
    server does not do its part.
    """

    @property
    def shown(self) -> str:
        """Where it is, for people."""

    def require_reachable(self) -> None:
        """Raises OSError where the store's server does not answer, or refuses; a folder is made when it is needed."""

    def put(self, key: str, data: bytes) -> int:
        """Writes the bytes under the key; returns their number. The same key again simply writes the same bytes."""

    def writing(self, key: str) -> AbstractContextManager[Path]:
        """A temporary path to fill; it takes the key's name when the block ends well, and vanishes when it does not."""

    def get(self, key: str, sha256: str | None, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes, verified against the recorded SHA-256, which may be only its beginning.

        Raises: FileNotFoundError; Damaged, where they are not what was written; TooLarge, before any is read, where
        they are more than most_bytes.
        """

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes as they are, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before any is read, where they are more than most_bytes.
        """

    def lending(self) -> AbstractContextManager[Lend]:
        """Lend keys as files on this machine, for as long as the block lasts; they are only read."""

    def remove(self, key: str) -> None:
        """Takes the key away; nothing happens where it is not there."""

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises FileNotFoundError."""

    def abandoned(self, older_s: float) -> list[Path]:
        """Files whose writer ended before they were whole, not touched for so long."""

    def address(self, key: str) -> str:
        """Where a person finds the key's file: a path, or a URL."""

    def __contains__(self, key: str) -> bool:
        """Whether the key is there."""


def open_store(
    where: str | Path, cache: Path | None = None, cache_bytes: int = 0, *, plain_http: bool = False
) -> Store:
    """The store in a folder, or below an `s3://bucket/prefix`.

    cache, cache_bytes: of a store on S3, where files are kept on this machine, and how many bytes at most beyond those
    in use; plain_http: its endpoint may be asked without encryption.
    """
    if not str(where).startswith(SCHEME):
        return FolderStore(where)
    from db.store.cache import Cache  # noqa: PLC0415
    from db.store.objects import Objects  # noqa: PLC0415
    from db.store.s3 import BucketStore  # noqa: PLC0415  # only who has a bucket pays for it

    assert cache is not None  # noqa: S101  # whoever opens a bucket says where its files go
    return BucketStore(Objects(str(where), allows_plain_http=plain_http), Cache(cache, cache_bytes))
