"""A stream of audio inside a file: the bytes that libsndfile shall read, in order."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

_FIRST_BLOCK_BYTES, _BLOCK_BYTES = 1 << 16, 1 << 20

Part = bytes | range
"""Bytes that replace a header, or a range of positions in the file."""


class File(Protocol):
    """A file that can be read at any position; `tasks.audio.source.Source` is one."""

    @property
    def name(self) -> str:
        """The file name, for error messages."""

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""

    def pread(self, n_bytes: int, at: int) -> bytes:
        """Return up to n_bytes bytes from position `at`. Raises OSError."""


@dataclass(frozen=True)
class Stream:
    """One continuous stream of audio.

    parts: what libsndfile reads instead of the file; None for the file as it is.
    n_frames: the length that was measured, in samples of each channel; None where the header's length was not checked.
    """

    parts: tuple[Part, ...] | None = None
    n_frames: int | None = None


WHOLE_FILE = (Stream(),)


class Window:
    """Reads a few bytes at many increasing positions of a file, with one read per block of 1 MiB; 64 KiB at first."""

    def __init__(self, file: File, stop: int | None = None) -> None:
        self._stop = file.size_bytes if stop is None else min(stop, file.size_bytes)
        self._file, self._at, self._block = file, 0, b""
        self._block_bytes = _FIRST_BLOCK_BYTES

    def get(self, at: int, n_bytes: int) -> bytes:
        """Return n_bytes bytes from position `at`, fewer at the end."""
        offset = at - self._at
        if offset < 0 or offset + n_bytes > len(self._block):
            self._at, offset = at, 0
            self._block = self._file.pread(max(0, min(max(n_bytes, self._block_bytes), self._stop - at)), at)
            self._block_bytes = _BLOCK_BYTES
        return self._block[offset : offset + n_bytes]

    def find(self, mark: bytes, at: int) -> int:
        """Return the position of the next `mark` from `at` on, or -1."""
        while at + len(mark) <= self._stop:
            self.get(at, len(mark))
            found = self._block.find(mark, at - self._at)
            if found >= 0:
                return self._at + found
            at = max(at + 1, self._at + len(self._block) - len(mark) + 1)
        return -1


class PartsReader(io.RawIOBase):
    """A file object over the parts of a stream. A failed read is kept in `error`, because libsndfile hides it."""

    def __init__(self, file: File, parts: Sequence[Part]) -> None:
        self._file, self._parts = file, parts
        self._begins = [0, *accumulate(map(len, parts))]
        self._at = 0
        self.error: OSError | None = None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # libsndfile's binding gives a buffer
        """Fill the buffer; return the number of bytes, fewer at the end or after a failed read."""
        n = 0
        try:
            while n < len(buffer) and self._at < self._begins[-1]:
                found = self._piece(len(buffer) - n)
                if not found:
                    break
                buffer[n : n + len(found)] = found
                self._at += len(found)
                n += len(found)
        except OSError as error:
            self.error = error
            return 0
        return n

    def _piece(self, n_bytes: int) -> bytes:
        which = bisect_right(self._begins, self._at) - 1
        part, offset = self._parts[which], self._at - self._begins[which]
        if isinstance(part, bytes):
            return part[offset : offset + n_bytes]
        return self._file.pread(min(n_bytes, len(part) - offset), part.start + offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._begins[-1]}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    @property
    def size_bytes(self) -> int:
        """Size of all parts together."""
        return self._begins[-1]

    def readable(self) -> bool:
        """Return True, as libsndfile's binding requires."""
        return True

    def seekable(self) -> bool:
        """Return True, as libsndfile's binding requires."""
        return True
