"""The store: files by key, in a folder or below an S3 URL; a file is there completely or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from db.store.folder import FolderStore
from db.store.objects import SCHEME
from domain.stored_file import StoredFile, TooLarge

__all__ = ["OpenLocalFile", "Store", "TooLarge", "open_store"]

OpenLocalFile = Callable[[str, str | None], StoredFile]
"""Return a key's file on this machine, given the key and the recorded SHA-256; reading the file verifies it.

Raises: FileNotFoundError; Damaged if a fetched copy does not match its SHA-256.
"""


class Store(Protocol):
    """Files by key; keys are relative POSIX paths made from content digests.

    Every method raises ValueError for a key that leaves the store, and OSError for a fault of the machine, network or
    server.
    """

    @property
    def location(self) -> str:
        """Its location, shown to users."""

    def require_reachable(self) -> None:
        """Check that the store's server answers and accepts the credentials. Raises: OSError."""

    def put(self, key: str, data: bytes) -> int:
        """Write the bytes under the key; return their number. Writing the same key again is harmless."""

    def writing(self, key: str) -> AbstractContextManager[Path]:
        """Yield a temporary path to fill. It gets the key's name if the block succeeds, and is deleted if it fails."""

    def get(self, key: str, sha256: str | None, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes, verified against the recorded SHA-256 or the beginning of one.

        Raises: FileNotFoundError; Damaged if the bytes do not match; TooLarge, before reading, if there are more than
        most_bytes.
        """

    def get_unverified(self, key: str, most_bytes: float = math.inf) -> bytes:
        """Return the key's bytes unverified, for files that carry a digest of their own.

        Raises: FileNotFoundError; TooLarge, before reading, if there are more than most_bytes.
        """

    def local_files(self) -> AbstractContextManager[OpenLocalFile]:
        """Yield a function that opens keys as read-only files on this machine, for the duration of the block."""

    def remove(self, key: str) -> None:
        """Delete the key's file, if there is one."""

    def digest(self, key: str) -> str:
        """SHA-256 of the key's bytes, in hex. Raises: FileNotFoundError."""

    def unfinished_files(self, older_s: float) -> list[Path]:
        """Unfinished files that have not been changed for `older_s` seconds: their writer has crashed."""

    def address(self, key: str) -> str:
        """Where a user finds the key's file: a path or a URL."""

    def __contains__(self, key: str) -> bool:
        """Whether the key has a file."""

    def create(self, key: str, data: bytes) -> None:
        """Write the bytes under the key unless it has a file already."""

    def ledgers(self) -> list[str]:
        """The ids of the ledgers that have a marker here, sorted."""

    def bind(self, ledger: str) -> None:
        """From now on, check that the store holds the ledger's marker: before a folder is written, and before a file
        is reported as missing. Both then raise StoreUnreachable.
        """


def open_store(
    where: str | Path, cache: Path | None = None, cache_bytes: int = 0, *, plain_http: bool = False
) -> Store:
    """Open the store in a folder, or below an `s3://bucket/prefix`.

    cache, cache_bytes: for a store on S3, the folder of local copies, and the size limit of those not in use.
    plain_http: allow an endpoint without encryption.
    Raises: ValueError for a store on S3 without a cache.
    """
    if not str(where).startswith(SCHEME):
        return FolderStore(where)
    from db.store.cache import Cache  # noqa: PLC0415
    from db.store.objects import Objects  # noqa: PLC0415
    from db.store.s3 import BucketStore  # noqa: PLC0415  # imports obstore, which only a store on S3 needs

    if cache is None:
        raise ValueError(f"the store {where} needs a folder for its cache")
    return BucketStore(Objects(str(where), allows_plain_http=plain_http), Cache(cache, cache_bytes))
