"""The outside of a strip's PNG: written with its texts, and checked before anything in it is unpacked."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from domain.errors import Damaged
from tasks.audio.preset import MOST_STRIP_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_TEXT_BYTES = 1 << 22
_KINDS = (b"IHDR", b"tEXt", b"IDAT", b"IEND")


class StripError(Damaged):
    """Bytes that are no whole strip: the store's fault, not the recording's."""


def grey_png(image: npt.NDArray[np.uint8], texts: dict[str, str]) -> bytes:
    """A PNG of (height, width) grey levels with text fields; the same bytes for the same arguments.

    Grey levels of noise hardly repeat: run lengths without prediction are smaller than a search for matches, and
    several times faster.  Source: see `checked_png`.
    """
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each begins with its filter: none
    rows[:, 1:] = image
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    pieces = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    pieces += [(b"tEXt", f"{key}\0{value}".encode("latin-1")) for key, value in texts.items()]
    pieces += [(b"IDAT", packer.compress(rows.tobytes()) + packer.flush()), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_piece(kind, body) for kind, body in pieces)


def _piece(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def checked_png(data: bytes) -> dict[str, str]:
    """The text fields of a grey PNG whose lengths and checksums are right, and whose size is a strip's.

    Only plain text chunks are taken: a compressed one could unpack to anything.
    Raises StripError. Source: W3C 2003, Portable Network Graphics (PNG) Specification, second edition.
    """
    if not data.startswith(_SIGNATURE):
        raise StripError(f"strip of {len(data)} bytes is no PNG; make it again")
    pieces = list(_pieces(data))
    kinds = [kind for kind, _ in pieces]
    # A second header would be the one that counts when the pixels are unpacked.
    is_framed = kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and kinds.count(b"IHDR") == kinds.count(b"IEND") == 1
    if not is_framed or len(pieces[0][1]) != 13:
        raise StripError("strip does not begin and end as a PNG does; make it again")
    width, height = (int.from_bytes(pieces[0][1][at : at + 4], "big") for at in (0, 4))
    if not 0 < width * height <= MOST_STRIP_PIXELS or pieces[0][1][8:] != bytes([8, 0, 0, 0, 0]):
        raise StripError(f"strip of {width} x {height} pixels is none: grey, 8 bit, up to {MOST_STRIP_PIXELS} pixels")
    _check_pixels(b"".join(body for kind, body in pieces if kind == b"IDAT"), (width + 1) * height)
    return dict(_text(body) for kind, body in pieces if kind == b"tEXt")


def _pieces(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise StripError(f"strip is cut short at byte {len(data)}; make it again")
        if kind not in _KINDS:
            raise StripError(f"strip has a chunk {kind!r}, which no strip has; make it again")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise StripError(f"strip is damaged between bytes {at} and {end}; make it again")
        yield kind, data[at + 8 : end - 4]
        at = end
    if at == len(_SIGNATURE):
        raise StripError("strip is cut short after its signature; make it again")


def _check_pixels(packed: bytes, n_bytes: int) -> None:
    """Nothing when the packed rows unpack to exactly n_bytes; unpacking stops one byte later."""
    unpacking = zlib.decompressobj()
    try:
        n_found = len(unpacking.decompress(packed, n_bytes + 1))
    except zlib.error as error:
        raise StripError(f"strip's pixels cannot be unpacked: {error}; make it again") from error
    if n_found != n_bytes or not unpacking.eof:
        raise StripError(f"strip has {n_found} bytes of pixels, not {n_bytes}; make it again")


def _text(body: bytes) -> tuple[str, str]:
    key, _, value = body.partition(b"\0")
    if len(value) > _MOST_TEXT_BYTES:
        raise StripError(f"strip has {len(value)} bytes of {key[:80]!r}, more than any strip; make it again")
    return key.decode("latin-1"), value.decode("latin-1")
