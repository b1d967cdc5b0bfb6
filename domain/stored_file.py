"""Files of the store: the one place where bytes are compared with the digest that was recorded for them.

Every file that this system wrote is read through here: strips, shards, indexes, models, evaluations. What parses the
bytes afterwards may rely on them. Files from elsewhere (recordings, bundles that a person brings) do not come this way.
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
"""No file of ours that is read as a whole is larger; a larger one is refused before it takes memory."""
_TICK_S = 2.0
"""No file system's clock is coarser. A file that is older when it is lent gets another time when it changes later."""
_Stamp = tuple[int, int, int, int, int]


class TooLarge(Damaged):
    """A file is larger than it was when it was written; nothing of it was read."""


def verified(data: bytes, key: str, sha256: str | None) -> bytes:
    """Return the bytes if they are those that were written under the key.

    sha256: as recorded, in hex; the names of evaluations and reports hold only its beginning. None, as in rows of
    older homes, verifies nothing; the log warns of it once.
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

    Raises: TooLarge, where the file has more than most_bytes.
    """
    if size_bytes > most_bytes:
        raise TooLarge(f"{key} has {size_bytes} bytes, more than {most_bytes:.0f}")


class StoredFile:
    """A file of the store as it lies on this machine, with the digest that was recorded for it.

    key: its name in the store. path: where it is. sha256: as for `verified`. lent_at_s: when the store lent it, in
    seconds since 1970; 0 means that every reading computes the digest.
    """

    def __init__(self, key: str, path: Path, sha256: str | None, lent_at_s: float = 0.0) -> None:
        self.key, self.path, self.sha256 = key, path, sha256
        self._old_before_s = lent_at_s - _TICK_S
        self._verified: _Stamp | None = None

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    def __repr__(self) -> str:
        return f"StoredFile({self.key!r})"

    def read(self) -> bytes:
        """Return the file's bytes, verified.

        A training reads its shards once an epoch. The digest is computed again only if the file has changed since: if
        it is another inode, or its size or one of its times is another.
        Raises: Damaged, where the bytes are not those that were written; OSError, where the file cannot be read.
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
