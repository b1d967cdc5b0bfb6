"""Access to the bytes of a recording: a local file, or a remote object that is read in ranges.

libsndfile reads through `handle`. A failed read is the machine's fault, not the recording's. libsndfile hides such
errors: it reports them as damaged audio. Callers therefore call `check_reads` before they blame the recording; it
raises the OSError of a failed read.
"""

from __future__ import annotations

import io
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from domain.errors import Missing, Unreadable

BLOCK_BYTES = 1 << 20
"""Size of one remote read: large enough that the transfer takes longer than the round trip."""
_KEPT_BLOCKS = 8

Fetch = Callable[[int, int], bytes]
"""Returns the bytes from position `start` up to, but not including, position `stop`. Raises OSError."""


class Source(Protocol):
    """An open recording."""

    @property
    def name(self) -> str:
        """The file name, for error messages."""

    @property
    def size_bytes(self) -> int:
        """Size of the whole recording."""

    @property
    def identity(self) -> Hashable:
        """Equal for two sources that hold the same bytes."""

    @property
    def handle(self) -> int | io.RawIOBase:
        """A file descriptor or file object for libsndfile to read from."""

    def pread(self, n_bytes: int, at: int) -> bytes:
        """Return up to n_bytes bytes from position `at`, fewer at the end of the file, without moving the handle.

        Raises: OSError if the read fails.
        """

    def position(self) -> int:
        """Return the handle's current position in bytes."""

    def check_reads(self) -> None:
        """Check that the recording's bytes can be read.

        Raises: OSError of the failed read if they cannot; then the machine is at fault, not the recording.
        """


@dataclass(frozen=True)
class Remote:
    """A recording on another machine, readable in ranges."""

    name: str
    size_bytes: int
    fetch: Fetch


Place = str | Path | Remote


def name_of(place: Place) -> str:
    """Return the file name of a recording, for error messages.

    >>> name_of("/data/wren/XC1.ogg")
    'XC1.ogg'
    """
    return place.name if isinstance(place, Remote) else os.path.basename(place)


@contextmanager
def open_source(place: Place) -> Iterator[Source]:
    """Open a recording for the duration of a `with` block.

    Raises: Missing if the file does not exist; Unreadable if it is not a regular file; OSError if the machine is at
    fault.
    """
    if isinstance(place, Remote):
        ranges = _Ranges(place)
        try:
            yield ranges
        finally:
            ranges.check_reads()  # an error or a result of the `with` block is void if a read failed
        return
    descriptor = _descriptor(place)
    try:
        found = os.fstat(descriptor)
        identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        yield _OnDisk(os.path.basename(place), descriptor, found.st_size, identity)
    finally:
        os.close(descriptor)


def pieces(place: Place, n_bytes: int = BLOCK_BYTES) -> Iterator[bytes | memoryview]:
    """Yield all bytes of a recording, in blocks of n_bytes. The next block may overwrite the one before.

    Raises: OSError if the recording cannot be opened or read.
    """
    if isinstance(place, Remote):
        yield from (place.fetch(at, min(at + n_bytes, place.size_bytes)) for at in range(0, place.size_bytes, n_bytes))
        return
    block = bytearray(n_bytes)
    view = memoryview(block)
    with open(place, "rb", buffering=0) as handle:
        # Planning reads every file once, sequentially: read-ahead makes it faster.
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while size := handle.readinto(block):
            yield view[:size]


def _descriptor(path: str | Path) -> int:
    """Open a regular file and return its descriptor. Raises Missing, Unreadable or OSError."""
    folder, name = os.path.split(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would block forever
            raise Unreadable(f"{name} is not a regular file; replace it by an audio file")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Missing(f"{name} no longer exists in {folder or '.'}") from error
    except ValueError as error:
        raise Missing(f"{str(path)!r:.200} is not a valid file name") from error


@dataclass(frozen=True)
class _OnDisk:
    name: str
    handle: int
    size_bytes: int
    identity: Hashable

    def pread(self, n_bytes: int, at: int) -> bytes:
        return os.pread(self.handle, n_bytes, at)

    def position(self) -> int:
        return os.lseek(self.handle, 0, os.SEEK_CUR)

    def check_reads(self) -> None:
        """Read the whole file once; a failing disk raises OSError here."""
        at = 0
        while piece := os.pread(self.handle, BLOCK_BYTES, at):
            at += len(piece)


class _Ranges(io.RawIOBase):
    """A file object that reads a remote recording in ranges, and caches the last few blocks."""

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
    def identity(self) -> Hashable:
        return self._remote

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

    def check_reads(self) -> None:
        if self._error is not None:
            raise self._error

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # libsndfile's binding gives a buffer
        try:
            found = self.pread(len(buffer), self._at)
        except OSError as error:
            self._error = error  # libsndfile swallows exceptions of its callbacks; `check_reads` raises this one
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
