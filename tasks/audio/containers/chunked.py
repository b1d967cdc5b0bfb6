"""Containers made of chunks (WAV, RF64, AIFF, CAF, W64) and AU: compares the stated size of the samples with the file.

Sources: Microsoft & IBM 1991, Multimedia Programming Interface and Data Specifications 1.0 (RIFF); EBU Tech 3306
(RF64); Apple 1991, AIFF-C; Apple, Core Audio Format Specification 1.0; Sony, Wave64; Sun Microsystems, audio(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from domain.errors import Inconsistent
from tasks.audio.containers import mpeg
from tasks.audio.containers.parts import WHOLE_FILE, File, Stream

_MOST_CHUNKS = 100_000
_LEAST_BEYOND_BYTES = 4_096
"""Fewer bytes after the samples are padding, or a tag that is no chunk."""

# Programs that write to a pipe do not know the length, and store 0xFFFFFFFF or a value slightly below it.
_UNKNOWN_32_BITS, _UNKNOWN_64_BITS = 0x7FFF_0000, 1 << 63
_MPEG_TAGS, _EXTENSIBLE = (0x50, 0x55), 0xFFFE
_OTHER_CHUNKS = frozenset(
    b"LIST,bext,iXML,axml,id3 ,ID3 ,cue ,smpl,inst,fact,PEAK,plst,JUNK,junk,FLLR,PAD ,wamd,guan,umid,chna,acid,DISP,"
    b"minf,elm1,regn,_PMX,afsp,NAME,AUTH,(c) ,ANNO,COMT,MARK,APPL,CHAN,MIDI,INST,info,strg,free,levl".split(b",")
)


@dataclass(frozen=True)
class _Form:
    """How a container stores chunks. samples: name of their chunk.  first: position of the first chunk."""

    samples: bytes
    first: int
    order: Literal["little", "big"]
    name_bytes: int = 4
    size_bytes: int = 4
    size_counts_header: bool = False
    alignment: int = 2


_FORMS = {
    b"RIFF": _Form(b"data", 12, "little"),
    b"RF64": _Form(b"data", 12, "little"),
    b"RIFX": _Form(b"data", 12, "big"),
    b"FORM": _Form(b"SSND", 12, "big"),
    b"caff": _Form(b"data", 8, "big", size_bytes=8, alignment=1),
    b"riff": _Form(b"data", 40, "little", name_bytes=16, size_bytes=8, size_counts_header=True, alignment=8),
}
MARKS = (*_FORMS, b".snd")


class Chunk(NamedTuple):
    """A named part of a container.

    at: where its header begins.  begin, stop: of its content; stop may lie beyond the end of the file.
    """

    name: bytes
    at: int
    begin: int
    stop: int


class Contents(NamedTuple):
    """The streams of a file.

    missing_bytes: of samples, stated by the header and not in the file.  present_bytes: of samples in such a file.
    may_go_on: sound may follow the last stream.
    """

    streams: tuple[Stream, ...]
    missing_bytes: int = 0
    present_bytes: int = 0
    may_go_on: bool = False


class _Field(NamedTuple):
    """A number in a header that states the bytes of samples, and of `added` other bytes."""

    at: int
    n_bytes: int
    order: Literal["little", "big"]
    added: int = 0

    def read(self, file: File) -> int | None:
        """Return the stated number of bytes of samples; None where the writer did not know it."""
        value = int.from_bytes(file.pread(self.n_bytes, self.at), self.order)
        is_unknown = value >= (_UNKNOWN_32_BITS if self.n_bytes == 4 else _UNKNOWN_64_BITS)
        return None if is_unknown else max(0, value - self.added)

    def replaced(self, file: File, n_bytes: int) -> Stream:
        """Return the stream of a file whose field states n_bytes bytes of samples."""
        value = (n_bytes + self.added).to_bytes(self.n_bytes, self.order)
        return Stream((range(self.at), value, range(self.at + self.n_bytes, file.size_bytes)))


def contents(file: File, mark: bytes) -> Contents:
    """Return the stream of a file that begins with `mark`, one of MARKS.

    A size that was never updated, and so ends before the samples do, is replaced by what the file holds.

    Raises: Inconsistent if a second recording follows, or if a plain WAV file is larger than its header can express;
    for MPEG audio in WAV also as `mpeg.streams`.
    """
    if mark == b".snd":
        begin = int.from_bytes(file.pread(4, 4), "big")
        return _compared(file, _Field(8, 4, "big"), begin, None)
    form = _FORMS[mark]
    found = {chunk.name: chunk for chunk in _up_to_samples(file, form)}
    samples = found.get(form.samples)
    if samples is None:
        return Contents(WHOLE_FILE)
    if mark in (b"RIFF", b"RIFX") and file.size_bytes > 8 + 0xFFFF_FFFF:
        raise Inconsistent(
            f"{file.name} is a plain WAV file of {file.size_bytes} bytes; the format ends at 4 GiB; "
            "convert the recording to RF64, W64 or FLAC"
        )
    if _is_mpeg(file, form, found.get(b"fmt ")):
        start = mpeg.first_frame(file, samples.begin, file.size_bytes)
        stop = min(samples.stop, file.size_bytes) if samples.stop > samples.begin else file.size_bytes
        return Contents(WHOLE_FILE if start is None else mpeg.streams(file, start, stop))
    size = _Field(samples.at + form.name_bytes, form.size_bytes, form.order)
    if mark == b"RF64" and b"ds64" in found:
        size = _Field(found[b"ds64"].begin + 8, 8, "little")
    elif form.size_counts_header:
        size = size._replace(added=samples.begin - samples.at)
    return _compared(file, size, samples.begin, form)


def chunks(file: File, mark: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a file that begins with `mark`, one of MARKS but AU's; in RF64 also those after the samples.

    Sizes are as stated: a chunk may stop beyond the end of the file, and the number of chunks is not bounded.
    """
    form, stated = _FORMS[mark], None
    for chunk in _chunks(file, form, form.first):
        if chunk.name == b"ds64":
            stated = int.from_bytes(file.pread(8, chunk.begin + 8), form.order)
        if mark == b"RF64" and chunk.name == form.samples and stated is not None:
            stop = chunk.begin + stated
            yield chunk._replace(stop=stop)
            yield from _chunks(file, form, stop + -stop % form.alignment)
            return
        yield chunk


def _compared(file: File, size: _Field, begin: int, form: _Form | None) -> Contents:
    """Compare the stated size of the samples with the bytes from `begin` to the end of the file."""
    stated, present = size.read(file), file.size_bytes - begin
    if stated is None:
        is_read_to_the_end = size.n_bytes == 4  # libsndfile does so for 32 bits only
        return Contents(WHOLE_FILE if is_read_to_the_end else (size.replaced(file, present),))
    if stated > present:
        return Contents(WHOLE_FILE, missing_bytes=stated - present, present_bytes=present)
    if present - stated < _LEAST_BEYOND_BYTES or (form and _are_chunks(file, form, begin + stated)):
        return Contents(WHOLE_FILE)
    return Contents((size.replaced(file, present),))


def _up_to_samples(file: File, form: _Form) -> Iterator[Chunk]:
    for chunk in _chunks(file, form, form.first):
        yield chunk
        if chunk.name == form.samples:
            return


def _chunks(file: File, form: _Form, at: int) -> Iterator[Chunk]:
    header_bytes = form.name_bytes + form.size_bytes
    for _ in range(_MOST_CHUNKS):
        # A stated size may lead beyond the positions that a system call takes.
        header = file.pread(header_bytes, at) if at < file.size_bytes else b""
        if len(header) < header_bytes:
            return
        size = int.from_bytes(header[form.name_bytes :], form.order)
        begin = at + header_bytes
        stop = max(begin, at + size if form.size_counts_header else begin + size)
        yield Chunk(header[:4], at, begin, stop)
        at = stop + -stop % form.alignment


def _are_chunks(file: File, form: _Form, at: int) -> bool:
    """Whether chunks of other kinds fill the file from `at` on, with padding before them or without.

    Raises: Inconsistent if one of them begins a second recording.
    """
    for start in sorted({at, at + -at % form.alignment}):
        chunk = None
        for chunk in _chunks(file, form, start):
            if chunk.name in (*_FORMS, form.samples):
                raise Inconsistent(
                    f"{file.name} holds a second recording from byte {chunk.at:,} of {file.size_bytes:,} on; split it"
                )
            if not chunk.name.isascii() or not chunk.name.decode().isprintable():
                break
            if chunk.name in _OTHER_CHUNKS or abs(chunk.stop - file.size_bytes) <= form.alignment:
                return True
    return False


def _is_mpeg(file: File, form: _Form, description: Chunk | None) -> bool:
    """Whether a WAV file says that its samples are MPEG audio."""
    if description is None:
        return False
    data = file.pread(26, description.begin)
    tag = int.from_bytes(data[:2], form.order)
    return tag in _MPEG_TAGS or (tag == _EXTENSIBLE and int.from_bytes(data[24:26], form.order) in _MPEG_TAGS)
