"""Files of a store that is far away, kept on this machine for as long as there is room.

Several processes share the folder. Whoever uses a file holds a link to it, so that it stays until the user is done,
even when somebody else has made room in the meantime.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KEPT, _IN_USE = "kept", "in-use"


class Cache:
    """A folder of files, the least recently used of which make room for others.

    most_bytes: kept beyond what is in use.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes

    @contextmanager
    def lending(self) -> Iterator[Lent]:
        """Files to use in this block; what a killed process has left is removed at its beginning."""
        own = self._folder / _IN_USE / secrets.token_hex(8)
        (self._folder / _KEPT).mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)  # nobody sweeps what is not locked yet
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
        """Removes the least recently used files until the rest is no more than allowed."""
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
    """The files that one user holds."""

    def __init__(self, kept: Path, own: Path, make_room: Callable[[], None]) -> None:
        self._kept, self._own, self._make_room = kept, own, make_room

    def file(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """The file of that name, fetched into the path given unless it is here. A name always means the same bytes."""
        own, kept = self._own / name, self._kept / name
        if own.exists():
            return own
        try:
            own.hardlink_to(kept)
            os.utime(own)  # used just now
        except FileNotFoundError:
            unfinished = self._own / f"{name}.unfinished"
            fetch(unfinished)
            unfinished.replace(own)
            with suppress(FileExistsError):  # another user was faster
                kept.hardlink_to(own)
            self._make_room()
        return own
