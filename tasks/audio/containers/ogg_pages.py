"""Ogg: separates chained and multiplexed streams, and finds pages that are missing or damaged.

Sources: RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), the Vorbis I specification, and the mappings of FLAC and Speex.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.errors import Inconsistent, Unreadable
from tasks.audio.containers.parts import WHOLE_FILE, File, Stream, Window

TOLERANCE_S = 0.1
_HEADER = struct.Struct("<4sBBQIIIB")  # mark, version, flags, position, serial, number, checksum, lacing values
_FIRST = 2
_FIRST_PAGE = b"OggS\0" + bytes([_FIRST])
_NO_POSITION = (1 << 64) - 1
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Page(NamedTuple):
    """A page of a logical stream. position: samples of the stream up to its end, or _NO_POSITION."""

    at: int
    size_bytes: int
    flags: int
    position: int
    serial: int
    number: int
    body_at: int


@dataclass
class _Logical:
    """A logical stream inside a link. rate_hz: of its positions; 0 for a stream that is no audio."""

    rate_hz: int
    pages: list[range] = field(default_factory=list)
    last: Page | None = None

    def add(self, page: Page) -> None:
        if self.pages and self.pages[-1].stop == page.at:
            self.pages[-1] = range(self.pages[-1].start, page.at + page.size_bytes)
        else:
            self.pages.append(range(page.at, page.at + page.size_bytes))
        self.last = page


def streams(file: File, *, is_thorough: bool) -> tuple[Stream, ...]:
    """Return the audio streams of an Ogg file, one for each link of a chain, in order.

    is_thorough: read every page and compare its checksum. Otherwise a file with one stream is only searched for the
    beginning of another, which takes a sixth of the time.

    Raises: Inconsistent if two streams of audio play at the same time; Unreadable if more than 0.1 s of pages are
    missing or damaged.
    """
    window = Window(file)
    if not is_thorough and window.find(_FIRST_PAGE, len(_FIRST_PAGE)) < 0:
        return WHOLE_FILE
    links: list[dict[int, _Logical]] = []
    is_in_header = False
    for page in _pages(window):
        if page.flags & _FIRST:
            if not is_in_header:
                links.append({})
            links[-1][page.serial] = _Logical(_rate_hz(file, page))
        is_in_header = bool(page.flags & _FIRST)
        logical = links[-1].get(page.serial) if links else None
        if logical is not None:
            _check_order(file, logical, page)
            logical.add(page)
    if sum(map(len, links)) <= 1:
        return WHOLE_FILE
    return tuple(Stream(tuple(logical.pages)) for link in links if (logical := _audio(file, link))) or WHOLE_FILE


def _audio(file: File, link: dict[int, _Logical]) -> _Logical | None:
    audio = [logical for logical in link.values() if logical.rate_hz]
    if len(audio) > 1:
        raise Inconsistent(f"{file.name} holds {len(audio)} audio streams that play at the same time; extract one")
    return audio[0] if audio else None


def _rate_hz(file: File, page: Page) -> int:
    """Return the rate of a stream's positions by its first packet; 0 for video, text, or a skeleton."""
    packet = file.pread(64, page.body_at)
    if packet[:7] == b"\x01vorbis":
        return int.from_bytes(packet[12:16], "little")
    if packet[:8] == b"OpusHead":
        return 48_000
    if packet[:8] == b"Speex   ":
        return int.from_bytes(packet[36:40], "little")
    if packet[:5] == b"\x7fFLAC":
        return int.from_bytes(packet[27:30], "big") >> 4
    return 0


def _check_order(file: File, logical: _Logical, page: Page) -> None:
    """Raise Unreadable if pages are missing between the stream's last page and this one."""
    last = logical.last
    if last is None or not logical.rate_hz or page.number == (last.number + 1) % (1 << 32):
        return
    if _NO_POSITION in (last.position, page.position):
        lost_s, at_s = 0.0, 0.0
    else:
        lost_s, at_s = (page.position - last.position) / logical.rate_hz, last.position / logical.rate_hz
    if lost_s > TOLERANCE_S or lost_s <= 0:
        raise Unreadable(f"{file.name} is damaged: up to {abs(lost_s):.1f} s after {at_s:.1f} s cannot be decoded")


def _pages(window: Window) -> Iterator[Page]:
    """Yield all complete and undamaged pages."""
    at = 0
    while (at := window.find(b"OggS", at)) >= 0:
        page = _page(window, at)
        if page is None:
            at += 4
            continue
        yield page
        at += page.size_bytes


def _page(window: Window, at: int) -> Page | None:
    header = window.get(at, _HEADER.size)
    if len(header) < _HEADER.size:
        return None
    _, version, flags, position, serial, number, stated, n_lacing = _HEADER.unpack(header)
    body_at = at + _HEADER.size + n_lacing
    size_bytes = _HEADER.size + n_lacing + sum(window.get(at + _HEADER.size, n_lacing))
    data = window.get(at, size_bytes)
    if version or len(data) < size_bytes or checksum(data) != stated:
        return None
    return Page(at, size_bytes, flags, position, serial, number, body_at)


def checksum(page: bytes) -> int:
    """Return the CRC-32 of a page as Ogg computes it, with its own field counted as zero.

    zlib computes the same polynomial over reflected bits, so bytes and result are reversed.
    """
    data = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    reflected = zlib.crc32(data, 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED_BITS), "big")
