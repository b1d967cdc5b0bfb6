"""WAV and RF64 files with the chunks that recorders write, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

AUDIOMOTH = (
    "Recorded at 19:22:55 14/12/2020 (UTC-5) by AudioMoth 24E1440361F0A5C2 at medium gain while battery was 4.2V."
)
GUANO = "GUANO|Version:1.0\nMake:Wildlife Acoustics\nTimestamp:2020-12-14T19:22:55-05:00\nLoc Position:44.1234 -72.5\n"


def chunk(name: bytes, content: bytes, stated: int | None = None) -> bytes:
    """A chunk, padded to an even size. stated: the size in its header, if it lies."""
    size = len(content) if stated is None else stated
    return name + struct.pack("<I", size) + content + bytes(len(content) % 2)


def comment(text: str, size: int = 384) -> bytes:
    """An INFO list with a comment of a fixed size, padded by NULs, and an artist, as AudioMoth writes it."""
    return chunk(
        b"LIST", b"INFO" + chunk(b"ICMT", text.encode().ljust(size, b"\0")) + chunk(b"IART", b"AudioMoth 24E1")
    )


def guano(text: str) -> bytes:
    return chunk(b"guan", text.encode())


def bext(day: str, time: str) -> bytes:
    """A Broadcast Wave chunk of 602 bytes."""
    return chunk(b"bext", (b"a bird".ljust(320, b"\0") + day.encode() + time.encode()).ljust(602, b"\0"))


def samples(n: int = 100) -> bytes:
    return chunk(b"data", bytes(2 * n))


def wav(*chunks: bytes) -> bytes:
    """A WAV file of 16 bits and 48 kHz with these chunks after its format."""
    return riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 48_000, 96_000, 2, 16)) + b"".join(chunks))


def riff(chunks: bytes) -> bytes:
    """A WAV file of these chunks."""
    body = b"WAVE" + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def rf64(n: int, *after: bytes) -> bytes:
    """An RF64 file of n samples, whose sizes are in `ds64`, with chunks after the samples."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, 2 * n, n, 0))
    data = b"data" + b"\xff" * 4 + bytes(2 * n)
    return b"RF64" + b"\xff" * 4 + wav(sizes)[8:12] + sizes + wav()[12:] + data + b"".join(after)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
