"""Facts from the first bytes of a recording that libsndfile does not report."""

from __future__ import annotations

from typing import Literal

HEAD_BYTES = 65_536

# Upper bound of frames per byte over all formats: silent FLAC stores 65,535 samples in about ten bytes.
MOST_FRAMES_PER_BYTE = 8_192

# Programs that write to a pipe do not know the length, and store 0xFFFFFFFF or a value slightly below it.
_UNKNOWN_BYTES = 0x7FFF_0000


def missing_bytes(head: bytes, size_bytes: int) -> int:
    """Return how many bytes of samples a WAV header declares beyond the end of its file.

    head: the first HEAD_BYTES of the file, or all of a shorter file.  size_bytes: size of the whole file.
    Returns 0 for complete files, for headers with an unknown length, and for other formats.
    Source: Microsoft & IBM 1991, Multimedia Programming Interface and Data Specifications 1.0, RIFF; EBU Tech 3306,
    RF64, whose chunk `ds64` stores lengths that do not fit into 32 bits.
    """
    if head[8:12] != b"WAVE" or head[:4] not in (b"RIFF", b"RIFX", b"RF64"):
        return 0
    order: Literal["little", "big"] = "big" if head[:4] == b"RIFX" else "little"
    at, ds64_length = 12, 0
    while at + 8 <= len(head):
        kind, length = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], order)
        if kind == b"ds64":
            ds64_length = int.from_bytes(head[at + 16 : at + 24], order)
        if kind == b"data":
            is_in_ds64 = length == 0xFFFF_FFFF and 0 < ds64_length < 1 << 63
            declared = ds64_length if is_in_ds64 else 0 if length >= _UNKNOWN_BYTES else length
            return max(0, at + 8 + declared - size_bytes)
        at += 8 + length + length % 2
    return 0


def is_beyond_riff(head: bytes, size_bytes: int) -> bool:
    """Return True for a plain WAV file larger than its 32-bit lengths can express (4 GiB).

    libsndfile decodes only a part of such a file, without an error.
    """
    return head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE" and size_bytes > 8 + 0xFFFF_FFFF


def has_estimated_length(head: bytes, kind: str) -> bool:
    """Return True for an MP3 file without a Xing, Info or VBRI header: libsndfile estimates its length.

    head: the bytes from the first frame on, see `id3_bytes`.  kind: libsndfile's name of the format.

    >>> has_estimated_length(bytes(36) + b"Xing", "MP3"), has_estimated_length(bytes(40), "MP3")
    (False, True)
    """
    return kind.startswith("MP3") and not any(mark in head[:4096] for mark in (b"Xing", b"Info", b"VBRI"))


def id3_bytes(head: bytes) -> int:
    """Return the length in bytes of the ID3v2 tag before the first MP3 frame; 0 if the file has no tag.

    head: the first bytes of the file; ten are enough.

    >>> id3_bytes(b"ID3" + bytes([4, 0, 0, 0, 0, 2, 1]))
    267
    """
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    seven_bits = [byte & 0x7F for byte in head[6:10]]
    return 10 + sum(bits << shift for bits, shift in zip(seven_bits, (21, 14, 7, 0), strict=True))


def has_known_signature(head: bytes, first_frame: bytes) -> bool:
    """Return True if the file begins like one of the common audio formats.

    In any other file libmpg123 searches for MP3 frames, and writes warnings to stderr.
    head: the first bytes of the file.  first_frame: the bytes after the ID3v2 tag, see `id3_bytes`.

    >>> has_known_signature(b"fLaC", b"fLaC"), has_known_signature(b"hello", b"hello")
    (True, False)
    """
    has_signature = head[:4] in (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b".snd")
    return has_signature or (len(first_frame) > 1 and first_frame[0] == 0xFF and first_frame[1] >= 0xE0)
