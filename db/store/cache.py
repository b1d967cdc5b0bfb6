"""Local copies of files of a remote store, up to a size limit.

Several processes share the folder. A process that uses a file holds a hard link to it: the file stays until the process
is done, even if another process has removed it from the cache to make room.
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

    most_bytes: limit of the files kept, not counting links of files in use.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    @contextmanager
    def local_files(self) -> Iterator[CachedFiles]:
        """Yield access to the files for the duration of the block. Links of killed processes are removed first."""
        own = self._folder / _IN_USE / secrets.token_hex(8)
        (self._folder / _KEPT).mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as folder_lock:
            fcntl.flock(folder_lock, fcntl.LOCK_EX)  # until `own` is locked, others would remove it as abandoned
            self._remove_abandoned_links()
            own.mkdir(parents=True)
            lock = (own / "lock").open("a")
            fcntl.flock(lock, fcntl.LOCK_EX)
        with lock:
            try:
                yield CachedFiles(self._folder / _KEPT, own, self.make_room)
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

    def _remove_abandoned_links(self) -> None:
        for left in (self._folder / _IN_USE).glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), (left / "lock").open("r+") as lock:
                # The kernel frees the lock when its process ends, even if it was killed.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)


class CachedFiles:
    """The cached files that one process uses."""

    def __init__(self, kept: Path, own: Path, make_room: Callable[[], None]) -> None:
        self._kept, self._own, self._make_room = kept, own, make_room

    def file(self, name: str, fetch: Callable[[Path], None], require_whole: Callable[[Path], None]) -> Path:
        """Return the file of that name; `fetch` writes it to the path given if the cache lacks it.

        A name always stands for the same bytes.
        require_whole: verifies a file; a cached file that fails is fetched again.
        Raises: what `fetch` and `require_whole` raise for a file just fetched; such a file is not kept.
        """
        own, kept = self._own / name, self._kept / name
        if own.exists() or self._link(own, kept, require_whole):
            return own
        unfinished = self._own / f"{name}.unfinished"
        fetch(unfinished)
        require_whole(unfinished)
        unfinished.replace(own)
        with suppress(FileExistsError):  # another user was faster
            kept.hardlink_to(own)
        self._make_room()
        return own

    def _link(self, own: Path, kept: Path, require_whole: Callable[[Path], None]) -> bool:
        """Link the cached file to `own`; False if it is missing or damaged. A damaged one is removed."""
        try:
            own.hardlink_to(kept)
            require_whole(own)
        except FileNotFoundError:
            return False
        except Damaged as error:
            _LOG.warning("removed a damaged file from the cache; it is fetched again: %s", error)
            own.unlink()
            kept.unlink(missing_ok=True)
            return False
        os.utime(own)  # the time of last use, which `make_room` sorts by
        return True
