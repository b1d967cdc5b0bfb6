"""Reads what a recorder wrote about a recording into its header: comment, GUANO and Broadcast Wave.

Sources: Microsoft & IBM 1991 (LIST/INFO); Riggs, GUANO specification 1.0; EBU Tech 3285 (bext); EBU Tech 3306 (RF64);
RFC 9639, section 8 (blocks and comments of FLAC).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tasks.audio.containers.chunked import Chunk, chunks
from tasks.audio.containers.parts import File
from tasks.audio.source import BLOCK_BYTES, Place, open_source

_MARKS = (b"RIFF", b"RF64")
_MOST_CHUNKS = 256
_MOST_JUMPS = 8
"""A remote file is read in blocks of 1 MiB: a chunk or FLAC block beyond the block before costs a request."""
_LONGEST_TEXT_BYTES = 1 << 16
_FLAC_COMMENTS = 4
_COMMENT_NAMES = ("comment", "description")
_BEXT_TIME_AT, _BEXT_TIME_BYTES = 320, 18  # after description, originator and its reference


class HeaderTexts(NamedTuple):
    """Texts in a recording's header, "" if there is none.

    comment: ICMT of the INFO list, as AudioMoth writes it, or the comment of a FLAC file, into which programs copy it.
    guano: the lines of the `guan` chunk.
    bext: date and time of the `bext` chunk, separated by a blank.
    """

    comment: str = ""
    guano: str = ""
    bext: str = ""


NO_TEXTS = HeaderTexts()


def header_texts(place: Place) -> HeaderTexts:
    """Return the texts in a recording's header, as `texts_of`.

    Raises: as `open_source`.
    """
    with open_source(place) as source:
        return texts_of(source)


def texts_of(file: File) -> HeaderTexts:
    """Return the texts in the header of an open recording; NO_TEXTS if it is no WAV, RF64 or FLAC file.

    At most 256 chunks are visited, and 64 KiB of each text are read. Damaged chunks are skipped: the header of a
    recording is no reason to refuse it.

    Raises: OSError if a read fails; then the machine is at fault, not the recording.
    """
    head = file.pread(12, 0)
    if head[:4] == b"fLaC":
        return HeaderTexts(comment=_flac_comment(file))
    if head[:4] not in _MARKS or head[8:] != b"WAVE":
        return NO_TEXTS
    found: dict[str, str] = {}
    for chunk in _visited(file, head[:4]):
        if chunk.name == b"LIST":
            found.setdefault("comment", _comment(_content(file, chunk)))
        elif chunk.name == b"guan":
            found.setdefault("guano", _text(_content(file, chunk)))
        elif chunk.name == b"bext":
            data = _content(file, chunk)[_BEXT_TIME_AT : _BEXT_TIME_AT + _BEXT_TIME_BYTES]
            found.setdefault("bext", _text(data[:10]) + " " + _text(data[10:]))
        found = {name: text for name, text in found.items() if text.strip()}
    return HeaderTexts(**found)


def _visited(file: File, mark: bytes) -> Iterator[Chunk]:
    at, jumps = 0, 0
    for number, chunk in enumerate(chunks(file, mark)):
        jumps += chunk.at - at > BLOCK_BYTES
        if number == _MOST_CHUNKS or jumps > _MOST_JUMPS:
            return
        at = chunk.at
        yield chunk


def _content(file: File, chunk: Chunk) -> bytes:
    return file.pread(min(chunk.stop - chunk.begin, _LONGEST_TEXT_BYTES), chunk.begin)


def _comment(data: bytes) -> str:
    """Return the comment in the content of a LIST chunk; "" if it is no INFO list or has none."""
    at = 4 if data[:4] == b"INFO" else len(data)
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"ICMT":
            return _text(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return ""


def _flac_comment(file: File) -> str:
    """Return the comment of a FLAC file; "" if it has none, or after tags of another format."""
    at, is_last = 4, False
    for _ in range(_MOST_JUMPS):
        head = file.pread(4, at)
        if is_last or len(head) < 4:
            return ""
        is_last, size = head[0] >= 0x80, int.from_bytes(head[1:], "big")
        if head[0] & 0x7F == _FLAC_COMMENTS:
            return _vorbis_comment(file.pread(min(size, _LONGEST_TEXT_BYTES), at + 4))
        at += 4 + size
    return ""


def _vorbis_comment(data: bytes) -> str:
    at = 8 + int.from_bytes(data[:4], "little")  # the vendor's name, and the number of fields
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        name, _, value = data[at + 4 : at + 4 + size].partition(b"=")
        if name.decode("latin-1").lower() in _COMMENT_NAMES:
            return _text(value)
        at += 4 + size
    return ""


def _text(data: bytes) -> str:
    """Decode a text, which NULs pad. Programs that do not write UTF-8 write Latin-1."""
    data = data.partition(b"\0")[0]
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        return data.decode("latin-1").strip()
