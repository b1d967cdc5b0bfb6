"""FLAC: finds the length in the last frame, because the header may state none.

Source: RFC 9639, Free Lossless Audio Codec, sections 8.2 (streaminfo) and 9.1 (frame header).
"""

from __future__ import annotations

from typing import NamedTuple

from domain.errors import Inconsistent
from tasks.audio.containers.parts import WHOLE_FILE, File, Stream

_RATES_HZ = (None, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}
_SYNCS = (b"\xff\xf8", b"\xff\xf9")  # frames of a fixed and of a variable size
_TOTAL_AT = 21  # the lower four bits of this byte, and four more bytes


def streams(file: File, start: int) -> tuple[Stream, ...]:
    """Return the stream of a FLAC file, with a header that states its true length if its own states another.

    start: where the mark `fLaC` stands, after tags.
    """
    head = file.pread(_TOTAL_AT + 21, start)
    if len(head) < _TOTAL_AT + 21 or head[4] & 0x7F:
        return WHOLE_FILE
    stated = int.from_bytes(head[_TOTAL_AT : _TOTAL_AT + 5], "big") & 0xF_FFFF_FFFF
    last = _last_frame(file, start, fixed_size=int.from_bytes(head[10:12], "big"))
    if last is None:
        return (Stream((range(start, file.size_bytes),)),) if start else WHOLE_FILE
    _check_kind(file, last, head)
    if last.end <= stated:
        return (Stream((range(start, file.size_bytes),)),) if start else WHOLE_FILE
    total = (head[_TOTAL_AT] & 0xF0) << 32 | last.end
    # The MD5 checksum after it belongs to another length; zeros say that there is none.
    header = head[:_TOTAL_AT] + total.to_bytes(5, "big") + bytes(16)
    return (Stream((header, range(start + len(header), file.size_bytes)), last.end),)


class _Frame(NamedTuple):
    """end: number of the sample after the frame.  Others: as the header says; None where the file's header says it."""

    end: int
    rate_hz: int | None
    channels: int
    bits: int | None


def _check_kind(file: File, last: _Frame, head: bytes) -> None:
    """Raise Inconsistent if the last frame is of another kind than the file's header says."""
    packed = int.from_bytes(head[18:22], "big")
    stated = packed >> 12, (packed >> 9 & 7) + 1, (packed >> 4 & 31) + 1
    found = last.rate_hz or stated[0], last.channels, last.bits or stated[2]
    if found != stated:
        raise Inconsistent(
            f"the header of {file.name} states {stated[0]} Hz, {stated[1]} channels and {stated[2]} bits, but its last "
            f"frame has {found[0]} Hz, {found[1]} channels and {found[2]} bits; split it where that changes"
        )


def _last_frame(file: File, start: int, fixed_size: int) -> _Frame | None:
    """Return the last frame in the file; None if none is found in its last 1 MiB."""
    for within in (1 << 14, 1 << 17, 1 << 20):  # most frames have less than 16 KiB
        data = file.pread(within, max(start, file.size_bytes - within))
        at = len(data)
        while (at := max(data.rfind(sync, 0, at) for sync in _SYNCS)) >= 0:
            frame = _frame(data[at : at + 16], fixed_size)
            if frame is not None:
                return frame
    return None


def _frame(header: bytes, fixed_size: int) -> _Frame | None:
    """Return the facts in a frame's header; None if these bytes are no frame header with a valid checksum.

    fixed_size: samples of all frames but the last, where frames are counted instead of samples.
    """
    if len(header) < 6 or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    n_leading = 8 - (~header[4] & 0xFF).bit_length()
    n_bytes = max(1, n_leading)
    if n_leading == 1 or n_leading > 7 or any(byte >> 6 != 2 for byte in header[5 : 4 + n_bytes]):
        return None
    number = header[4] & (0x7F >> n_leading)
    for byte in header[5 : 4 + n_bytes]:
        number = number << 6 | byte & 0x3F
    at = 4 + n_bytes
    size_code, rate_code = header[2] >> 4, header[2] & 15
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    stop = at + size_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if size_code == 0 or rate_code == 15 or len(header) <= stop or _crc8(header[:stop]) != header[stop]:
        return None
    if size_bytes:
        size = int.from_bytes(header[at : at + size_bytes], "big") + 1
    else:
        size = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    counts_samples, channels = header[1] & 1, header[3] >> 4
    return _Frame(
        end=(number if counts_samples else number * fixed_size) + size,
        rate_hz=_rate_hz(rate_code, header[at + size_bytes : stop]),
        channels=channels + 1 if channels < 8 else 2,
        bits=_BITS.get(header[3] >> 1 & 7),
    )


def _rate_hz(code: int, data: bytes) -> int | None:
    """Return the sampling rate of a frame. data: the bytes that hold it for codes from 12 on."""
    if code < 12:
        return _RATES_HZ[code]
    return int.from_bytes(data, "big") * {12: 1_000, 13: 1, 14: 10}[code]


def _crc8(data: bytes) -> int:
    """Return the CRC-8 of a frame header, with the polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc
