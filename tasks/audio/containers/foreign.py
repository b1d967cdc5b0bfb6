"""Formats that libsndfile does not open and FFmpeg does: how each begins, and what FFmpeg calls it.

FFmpeg never guesses a format here. It gets the name of one demuxer, chosen by the bytes below, so that it takes no
playlist, picture or text for a recording.

Sources: ISO/IEC 14496-12 (MP4); RFC 8794 and 9559 (EBML, Matroska); Microsoft, Advanced Systems Format 1.2;
RFC 4867 (AMR); ISO/IEC 13818-7 (ADTS); ATSC A/52 (AC-3).
"""

from __future__ import annotations

from typing import NamedTuple

from tasks.audio.containers import mpeg
from tasks.audio.containers.parts import File


class ForeignFormat(NamedTuple):
    """A format.

    demuxer: FFmpeg's name of it.  start: where it begins in the file, after tags.
    is_for_libsndfile: libsndfile opens the container, and FFmpeg gets it only if libsndfile has no decoder for it.
    refusal: why it is not decoded, and what to do; empty if it is.
    """

    name: str
    demuxer: str
    start: int = 0
    is_for_libsndfile: bool = False
    refusal: str = ""


MP4 = ForeignFormat("MP4 (m4a, mov, 3gp)", "mov")
WEBM = ForeignFormat("WebM or Matroska", "matroska")
WMA = ForeignFormat("WMA", "asf")
AVI = ForeignFormat("AVI", "avi")
SPEEX = ForeignFormat("Speex", "ogg", refusal="FFmpeg's decoder differs from Speex's own; convert it with speexdec")
AAC = ForeignFormat("AAC", "aac")
AC3 = ForeignFormat("AC-3", "ac3")
EAC3 = ForeignFormat("E-AC-3", "eac3")
_MARKS = {
    b"\x1a\x45\xdf\xa3": WEBM,
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": WMA,
    b"#!AMR": ForeignFormat("AMR", "amr"),
    b"wvpk": ForeignFormat("WavPack", "wv"),
    b"MAC ": ForeignFormat("Monkey's Audio", "ape"),
    b"TTA1": ForeignFormat("True Audio", "tta"),
    b"caff": ForeignFormat("CAF", "caf", is_for_libsndfile=True),
    b"FORM": ForeignFormat("AIFF", "aiff", is_for_libsndfile=True),
    b"RIFF": ForeignFormat("WAV", "wav", is_for_libsndfile=True),
}
_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_LONGEST_HEAD = 27 + 255 + 8
"""The first page of an Ogg file, up to its first packet."""
_SEGMENT = b"\x18\x53\x80\x67"
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def kind_of(file: File) -> ForeignFormat | None:
    """Return the format of a file; None if FFmpeg is not asked. Raises: OSError."""
    start = mpeg.after_tags(file, 0)
    head = file.pread(_LONGEST_HEAD, start)
    if (kind := _by_mark(head)) is None and _is_adts(file, start):
        kind = AAC
    return kind and kind._replace(start=start)


def _by_mark(head: bytes) -> ForeignFormat | None:
    if head[4:8] in _ATOMS:
        return MP4
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AVI
    if head[:4] == b"OggS" and len(head) > 27:
        return SPEEX if head[27 + head[26] :].startswith(b"Speex   ") else None
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return EAC3 if head[5] >> 3 > 10 else AC3
    return next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), None)


def _is_adts(file: File, at: int) -> bool:
    """Whether two frames of AAC in ADTS begin here, or the only frame of the file."""
    for _ in range(2):
        head = file.pread(7, at)
        size_bytes = int.from_bytes(head[3:6], "big") >> 5 & 0x1FFF
        if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or size_bytes < 7:
            return False
        at += size_bytes
        if at >= file.size_bytes:
            return True
    return True


def missing_bytes(file: File, kind: ForeignFormat) -> int:
    """Return how many bytes a header states beyond the end of the file, for formats that state no length of audio."""
    head = file.pread(1 << 12, kind.start)
    stop = 0
    if kind.demuxer == "matroska" and (at := head.find(_SEGMENT)) >= 0:
        stop = kind.start + (_after_element(head, at + 4) or 0)
    elif kind.demuxer == "asf" and (at := head.find(_FILE_PROPERTIES)) >= 0:
        is_live = head[at + 88 : at + 89] != b"" and head[at + 88] & 1
        stop = 0 if is_live else int.from_bytes(head[at + 40 : at + 48], "little")
    elif kind.demuxer == "avi":
        size_bytes = int.from_bytes(head[4:8], "little")
        stop = kind.start + 8 + size_bytes if size_bytes < 0x7FFF_0000 else 0
    return max(0, stop - file.size_bytes)


def _after_element(head: bytes, at: int) -> int | None:
    """Return where the EBML element whose size field stands at `at` ends; None if its writer did not know."""
    first = head[at] if at < len(head) else 0
    n_bytes = 9 - first.bit_length()
    size = int.from_bytes(head[at : at + n_bytes], "big") & (1 << 7 * n_bytes) - 1
    is_unknown = n_bytes > 8 or size == (1 << 7 * n_bytes) - 1
    return None if is_unknown else at + n_bytes + size
