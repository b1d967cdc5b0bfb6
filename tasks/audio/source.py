"""The bytes of a recording, wherever they are: a file on this machine, or ranges of one that is far away.

libsndfile reads through `handle`. A read that fails is the machine's fault: of a file the OSError rises by itself, of
ranges it is kept, for libsndfile lets no error of ours through, and `require_sound` raises it before anything read is
believed.
"""

from __future__ import annotations

import io
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.errors import Missing, Unreadable

BLOCK_BYTES = 1 << 20
"""Read from afar at once: long enough that waiting for an answer is little beside reading it."""
_KEPT_BLOCKS = 8

Fetch = Callable[[int, int], bytes]
"""The bytes from the first position to before the second. Raises OSError."""


class Source(Protocol):
    """An open recording."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def size_bytes(self) -> int:
        """All of it."""

    @property
    def handle(self) -> int | io.RawIOBase:
        """What libsndfile reads: a descriptor, or a file object."""

    def pread(self, n_bytes: int, at: int) -> bytes:
        """So many bytes from there on, fewer at the end, wherever the handle stands. Raises OSError."""

    def position(self) -> int:
        """Where the handle stands."""

    def require_sound(self) -> None:
        """Nothing, or the OSError of a read that failed: then the recording is not to blame."""


@dataclass(frozen=True)
class Remote:
    """A recording elsewhere that can be read in ranges."""

    name: str
    size_bytes: int
    fetch: Fetch


Place = str | Path | Remote


def name_of(place: Place) -> str:
    """For people: the last part of where it is."""
    return place.name if isinstance(place, Remote) else os.path.basename(place)


@contextmanager
def opened(place: Place) -> Iterator[Source]:
    """The recording, open. Raises Missing, Unreadable; any other OSError is the machine's."""
    if isinstance(place, Remote):
        ranges = _Ranges(place)
        try:
            yield ranges
        finally:
            ranges.require_sound()  # whatever was made of what could not be read
        return
    descriptor = _descriptor(place)
    try:
        yield _OnDisk(os.path.basename(place), descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def pieces(place: Place, n_bytes: int = BLOCK_BYTES) -> Iterator[bytes | memoryview]:
    """All bytes from the beginning, in pieces that are gone when the next one comes. Raises OSError."""
    if isinstance(place, Remote):
        yield from (place.fetch(at, min(at + n_bytes, place.size_bytes)) for at in range(0, place.size_bytes, n_bytes))
        return
    block = bytearray(n_bytes)
    view = memoryview(block)
    with open(place, "rb", buffering=0) as handle:
        # Read ahead where the system can be told; a mountain of files is read once, from end to end.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while size := handle.readinto(block):
            yield view[:size]


def _descriptor(path: str | Path) -> int:
    """Of a regular file. Raises Missing, Unreadable; any other OSError is the machine's."""
    folder, name = os.path.split(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
            raise Unreadable(f"{name} is not a regular file")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"{name} is not in {folder or '.'} any more") from error
    except ValueError as error:
        raise Missing(f"{str(path)!r:.200} is not a name a file can have") from error


@dataclass(frozen=True)
class _OnDisk:
    name: str
    handle: int
    size_bytes: int

    def pread(self, n_bytes: int, at: int) -> bytes:
        return os.pread(self.handle, n_bytes, at)

    def position(self) -> int:
        return os.lseek(self.handle, 0, os.SEEK_CUR)

    def require_sound(self) -> None:
        """All bytes are read once: a disk that does not give them up raises here."""
        at = 0
        while piece := os.pread(self.handle, BLOCK_BYTES, at):
            at += len(piece)


class _Ranges(io.RawIOBase):
    """A file object over ranges of a remote recording; a few blocks are kept."""

    def __init__(self, remote: Remote) -> None:
        self._remote, self._at = remote, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._error: OSError | None = None

    @property
    def name(self) -> str:
        return self._remote.name

    @property
    def size_bytes(self) -> int:
        return self._remote.size_bytes

    @property
    def handle(self) -> io.RawIOBase:
        return self

    def pread(self, n_bytes: int, at: int) -> bytes:
        stop = min(at + n_bytes, self.size_bytes)
        found = b"".join(self._block(block) for block in range(at // BLOCK_BYTES, -(-stop // BLOCK_BYTES)))
        offset = at - at // BLOCK_BYTES * BLOCK_BYTES
        return found[offset : offset + max(stop - at, 0)]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start = number * BLOCK_BYTES
            self._blocks[number] = self._remote.fetch(start, min(start + BLOCK_BYTES, self.size_bytes))
            if len(self._blocks) > _KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def position(self) -> int:
        return self._at

    def require_sound(self) -> None:
        if self._error is not None:
            raise self._error

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # libsndfile's binding gives a buffer
        try:
            found = self.pread(len(buffer), self._at)
        except OSError as error:
            self._error = error
            return 0
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
