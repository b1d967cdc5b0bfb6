"""Files of a remote store, kept on this machine for as long as there is room.

Several processes share the folder. A process that uses a file holds a hard link to it, so that the file stays until
the process is done, even when another process has made room in the meantime.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from domain.errors import Damaged

_LOG = logging.getLogger("chorus")
_KEPT, _IN_USE = "kept", "in-use"


class Cache:
    """A folder of files; the least recently used are removed to make room.

    most_bytes: kept beyond what is in use.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    @contextmanager
    def lending(self) -> Iterator[Lent]:
        """Lend files for this block; what a killed process left behind is removed first."""
        own = self._folder / _IN_USE / secrets.token_hex(8)
        (self._folder / _KEPT).mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)  # no other process may sweep the folder before it is locked
            self._sweep()
            own.mkdir(parents=True)
            lock = (own / "lock").open("a")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with lock:
            try:
                yield Lent(self._folder / _KEPT, own, self.make_room)
            finally:
                shutil.rmtree(own, ignore_errors=True)

    def make_room(self) -> None:
        """Remove the least recently used files until the rest fits the limit."""
        found = []
        for path in (self._folder / _KEPT).iterdir():
            with suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        total_bytes = sum(size for _, size, _ in found)
        for _, size_bytes, path in sorted(found):
            if total_bytes <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total_bytes -= size_bytes

    def _sweep(self) -> None:
        for left in (self._folder / _IN_USE).glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), (left / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free when its process ended, however it ended
                shutil.rmtree(left, ignore_errors=True)


class Lent:
    """The files that one block holds."""

    def __init__(self, kept: Path, own: Path, make_room: Callable[[], None]) -> None:
        self._kept, self._own, self._make_room = kept, own, make_room

    def file(self, name: str, fetch: Callable[[Path], None], require_whole: Callable[[Path], None]) -> Path:
        """Return the file of that name, fetched into the path given unless it is here. A name means the same bytes.

        require_whole: verifies a file; one that this cache kept and that has changed since is fetched again.
        Raises: what `fetch` and `require_whole` raise for a file just fetched, which is then not kept.
        """
        own, kept = self._own / name, self._kept / name
        if own.exists() or self._links(own, kept, require_whole):
            return own
        unfinished = self._own / f"{name}.unfinished"
        fetch(unfinished)
        require_whole(unfinished)
        unfinished.replace(own)
        with suppress(FileExistsError):  # another user was faster
            kept.hardlink_to(own)
        self._make_room()
        return own

    def _links(self, own: Path, kept: Path, require_whole: Callable[[Path], None]) -> bool:
        """Whether the kept file is whole, and linked to `own` now."""
        try:
            own.hardlink_to(kept)
            require_whole(own)
        except FileNotFoundError:
            return False
        except Damaged as error:
            _LOG.warning("the cache's copy is dropped: %s", error)
            own.unlink()
            kept.unlink(missing_ok=True)
            return False
        os.utime(own)  # used just now
        return True
