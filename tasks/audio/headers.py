"""What the first bytes of a recording promise, where libsndfile does not say it."""

from __future__ import annotations

from typing import Literal

HEAD_BYTES = 65_536

# Silent FLAC, the densest of all, holds 65,535 samples in about ten bytes.
MOST_FRAMES_PER_BYTE = 8_192

# Writers that cannot seek back put all ones, or nearly, where the length belongs.
_UNKNOWN_BYTES = 0x7FFF_0000


def missing_bytes(head: bytes, size_bytes: int) -> int:
    """How many bytes of samples a WAV header promises beyond the end of its file; 0 for whole files and other formats.

    head: the first HEAD_BYTES of the file.  size_bytes: of the whole file.
    Source: Microsoft & IBM 1991, Multimedia Programming Interface and Data Specifications 1.0, RIFF; EBU Tech 3306,
    RF64, where the chunk `ds64` holds what does not fit into 32 bits.
    """
    if head[8:12] != b"WAVE" or head[:4] not in (b"RIFF", b"RIFX", b"RF64"):
        return 0
    order: Literal["little", "big"] = "big" if head[:4] == b"RIFX" else "little"
    at, long_length = 12, 0
    while at + 8 <= len(head):
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], order)
        if kind == b"ds64":
            long_length = int.from_bytes(head[at + 16 : at + 24], order)
        if kind == b"data":
            is_long = length == 0xFFFF_FFFF and 0 < long_length < 1 << 63
            promised = long_length if is_long else 0 if length >= _UNKNOWN_BYTES else length
            return max(0, at + 8 + promised - size_bytes)
        at += 8 + length + length % 2
    return 0


def is_beyond_riff(head: bytes, size_bytes: int) -> bool:
    """True for a plain WAV of more bytes than its 32-bit lengths can tell; libsndfile silently decodes a part of it."""
    return head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE" and size_bytes > 8 + 0xFFFF_FFFF


def has_estimated_length(head: bytes, kind: str) -> bool:
    """True for an MP3 without a table of contents, whose length is guessed from its first frames.

    head: the bytes from the first frame on, see `id3_bytes`.  kind: as libsndfile calls it.
    """
    return kind.startswith("MP3") and not any(mark in head[:4096] for mark in (b"Xing", b"Info", b"VBRI"))


def id3_bytes(head: bytes) -> int:
    """The length of the ID3v2 tag before the first MP3 frame; 0 without one.

    >>> id3_bytes(b"ID3" + bytes([4, 0, 0, 0, 0, 2, 1]))
    267
    """
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    seven_bits = [byte & 0x7F for byte in head[6:10]]
    return 10 + sum(bits << shift for bits, shift in zip(seven_bits, (21, 14, 7, 0), strict=True))


def has_familiar_beginning(head: bytes, first_frame: bytes) -> bool:
    """True for the formats people record in; in anything else libmpg123 looks for MP3 frames, loudly.

    first_frame: the bytes after the ID3v2 tag, see `id3_bytes`.
    """
    has_name = head[:4] in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd")
    return has_name or (len(first_frame) > 1 and first_frame[0] == 0xFF and first_frame[1] >= 0xE0)
