"""Files of the store. Only this module compares their bytes with the recorded digest.

Every file that this system wrote is read through it: strips, shards, indexes, models, evaluations. Parsers may
therefore trust the bytes. Files from elsewhere (recordings, imported bundles) are not read here.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

from domain.digests import content_digest, file_digest
from domain.errors import Damaged

_LOG = logging.getLogger("chorus")
MOST_BYTES = 1 << 30
"""Maximum size of a file that is read as a whole; a larger one is refused before memory is allocated."""
_TICK_S = 2.0
"""Upper bound of the clock resolution of file systems. If a file's last change is older than this when it is opened,
any later change gives it another time."""
_Stamp = tuple[int, int, int, int, int]


class TooLarge(Damaged):
    """A file is larger than allowed or recorded; it was not read."""


def verified(data: bytes, key: str, sha256: str | None) -> bytes:
    """Return the bytes after comparing them with the recorded digest.

    sha256: as recorded, in hex; the names of evaluations and reports hold only its beginning. None, as in rows of
    older homes: nothing is verified, and the log warns once.
    Raises: Damaged, which names the key and both digests.
    """
    if sha256:
        _require_same(content_digest(data), key, sha256)
    else:
        _warn_unrecorded()
    return data


def _require_same(found: str, key: str, sha256: str) -> None:
    if not found.startswith(sha256):
        raise Damaged(f"{key} is not what was written: its SHA-256 is {found}, and {sha256} was recorded")


@lru_cache(maxsize=1)
def _warn_unrecorded() -> None:
    _LOG.warning("files without a recorded SHA-256 are read unverified; `orchestrator doctor --repair` records it")


def require_size(key: str, size_bytes: int, most_bytes: float = MOST_BYTES) -> None:
    """Check a file's size before it is read.

    Raises: TooLarge if the file has more than most_bytes.
    """
    if size_bytes > most_bytes:
        raise TooLarge(f"{key} has {size_bytes} bytes, more than {most_bytes:.0f}")


class StoredFile:
    """A file of the store on this machine, with its recorded digest.

    key: its name in the store.  path: its location.  sha256: as for `verified`.  opened_at_s: time at which the store
    opened it, in seconds since 1970; 0: every reading computes the digest.
    """

    def __init__(self, key: str, path: Path, sha256: str | None, opened_at_s: float = 0.0) -> None:
        self.key, self.path, self.sha256 = key, path, sha256
        self._old_before_s = opened_at_s - _TICK_S
        self._verified: _Stamp | None = None

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def __repr__(self) -> str:
        return f"StoredFile({self.key!r})"

    def read(self) -> bytes:
        """Return the file's bytes, verified.

        A training reads its shards once an epoch. The digest is computed again only if the inode, the
        size or one of the times of the file has changed.
        Raises: Damaged if the bytes are not those that were written; OSError if the file cannot be read.
        """
        with self.path.open("rb") as file:
            before = os.fstat(file.fileno())
            require_size(self.key, before.st_size)
            data = file.read()
            stamp = _stamp(before)
            if stamp != self._verified:
                verified(data, self.key, self.sha256)
                is_old = before.st_ctime < self._old_before_s
                self._verified = stamp if is_old and stamp == _stamp(os.fstat(file.fileno())) else None
            return data

    def require_whole(self) -> None:
        """Verify the file without keeping its bytes; a file without a recorded digest passes.

        Raises: as `read` does.
        """
        with self.path.open("rb") as file:
            if self.sha256:
                _require_same(file_digest(file), self.key, self.sha256)


def _stamp(stat: os.stat_result) -> _Stamp:
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
