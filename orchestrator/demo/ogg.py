"""Encode samples as Ogg Vorbis with reproducible bytes.

libsndfile gives every stream a random serial number, so the ledger would treat the files of each demo as new. This
module sets a fixed number and recomputes the checksum of each page.
"""

from __future__ import annotations

import io
import zlib

import soundfile

from orchestrator.demo.song import RATE_HZ, Samples

_HEADER_BYTES = 27  # of a page, before its segment table; RFC 3533 section 6
_SERIAL, _CHECKSUM, _N_SEGMENTS = slice(14, 18), slice(22, 26), 26
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def encoded(samples: Samples, serial: int) -> bytes:
    """An Ogg Vorbis file of (n,) float32 samples at RATE_HZ, n > 0; serial: 0 to 2**32 - 1."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="OGG", subtype="VORBIS")
    return renumbered(file.getvalue(), serial)


def renumbered(ogg: bytes, serial: int) -> bytes:
    """The same stream under another serial number.

    Raises:
        ValueError: the bytes are not whole Ogg pages.

    Source: RFC 3533, section 6 (page layout; CRC 0x04c11db7 over the page with its checksum field zeroed).
    """
    pages, at = [], 0
    while at < len(ogg):
        page = bytearray(ogg[at : at + _page_bytes(ogg, at)])
        page[_SERIAL] = serial.to_bytes(4, "little")
        page[_CHECKSUM] = bytes(4)
        page[_CHECKSUM] = checksum(page).to_bytes(4, "little")
        pages.append(bytes(page))
        at += len(page)
    return b"".join(pages)


def _page_bytes(ogg: bytes, at: int) -> int:
    if ogg[at : at + 4] != b"OggS" or at + _HEADER_BYTES > len(ogg):
        raise ValueError(f"no Ogg page at byte {at} of {len(ogg)}")
    segments = ogg[at + _HEADER_BYTES : at + _HEADER_BYTES + ogg[at + _N_SEGMENTS]]
    return _HEADER_BYTES + len(segments) + sum(segments)


def checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC-32: zlib's polynomial read from the other end, without its inversions.

    >>> hex(checksum(b"123456789"))
    '0x89a1897f'
    """
    reflected = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
