"""The PNG of a strip: grey levels and text fields. Pillow reads it; this module writes it, always to the same bytes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from domain.errors import Damaged

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class StripError(Damaged):
    """The bytes are not a strip of this version. The file is damaged or foreign; the recording is not at fault."""


def grey_png(image: npt.NDArray[np.uint8], texts: dict[str, str]) -> bytes:
    """Return a PNG of grey levels with text fields; equal arguments give equal bytes.

    image: (height, width) uint8.  texts: field names and values, in latin-1.
    Grey levels of noise hardly repeat: run-length coding without a filter gives smaller files than a search for
    matches, and is several times faster.
    Source: W3C 2003, Portable Network Graphics (PNG) Specification, second edition.
    """
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # the first byte of a row is its filter: none
    rows[:, 1:] = image
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    pieces = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    pieces += [(b"tEXt", f"{key}\0{value}".encode("latin-1")) for key, value in texts.items()]
    pieces += [(b"IDAT", packer.compress(rows.tobytes()) + packer.flush()), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_piece(kind, body) for kind, body in pieces)


def _piece(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def grey_levels(data: bytes) -> tuple[npt.NDArray[np.uint8], dict[str, str]]:
    """Return the (height, width) uint8 grey levels and the text fields of a verified PNG.

    Raises: StripError if the bytes are not a PNG of 8 bit grey.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.mode != "L":
                raise StripError(f"strip is a PNG of mode {picture.mode}, not of 8 bit grey; make it again")
            image = np.array(picture)  # this also reads the text fields after the pixels
            return image, {key: str(value) for key, value in picture.text.items()}  # type: ignore[attr-defined]
    except (ValueError, SyntaxError, OSError, zlib.error) as error:
        raise StripError(f"strip cannot be decoded: {error!s:.200}; make it again") from error
