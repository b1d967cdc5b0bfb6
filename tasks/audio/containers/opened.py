"""Opens a recording: finds its streams of audio, and opens each with libsndfile, or with FFmpeg where that cannot.

Errors separate the recording's faults from the machine's, as `tasks.audio.recording` says.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import soundfile

from domain.errors import Empty, Inconsistent, NoDecoder, Unreadable, UnsupportedFormat, Unusable
from tasks.audio.containers import foreign
from tasks.audio.containers.chunked import Contents
from tasks.audio.containers.libav import LibavSound
from tasks.audio.containers.measure import MOST_FRAMES_PER_BYTE, behind_other_bytes, measure
from tasks.audio.containers.parts import WHOLE_FILE, PartsReader
from tasks.audio.source import Place, Source, open_source

TOLERANCE_S = 0.1
"""Encoders and decoders count one or two MP3 or Vorbis frames differently."""
BLOCK_VALUES = 1 << 18
"""float32 values per read, all channels: fits into an L2 cache."""
# Error numbers of libsndfile. The text of _BAD_FILE, "file does not exist", is wrong here: the file is open.
_UNKNOWN_FORMAT, _UNSUPPORTED_ENCODING, _UNIMPLEMENTED_FORMAT, _BAD_FILE, _NO_MEMORY = 1, 4, 18, 7, 17
_stderr_lock = threading.Lock()
_last_measured: list[tuple[Hashable, Contents | None]] = [(None, None)]
_last_decoded: list[tuple[Hashable, LibavSound | Unusable]] = []


@dataclass(frozen=True)
class HeaderFacts:
    """Facts from a recording's header, checked for plausibility.

    n_frames: samples of each channel, >= 0.  rate_hz: sampling rate.  format: libsndfile's name, such as `FLAC/PCM_16`.
    """

    n_frames: int
    rate_hz: int
    channels: int
    format: str


class Sound(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A stream that is read on from where the last read ended.

    soundfile seeks after each read of a seekable file. That costs an MP3 decoder its bit reservoir: the samples after
    each seam differ by up to 0.3 of full scale.
    """

    def seekable(self) -> bool:
        """Return False, so that soundfile does not seek."""
        return False

    def skip_to(self, start: int) -> None:
        """Go to frame `start` of a stream of which nothing was read; formats that cannot seek are decoded up to it."""
        if start and super().seekable():
            self.seek(start)
            return
        while start > 0:
            n_read = len(self.read(min(start, BLOCK_VALUES // self.channels), dtype="float32", always_2d=True))
            start = start - n_read if n_read else 0


@dataclass(frozen=True)
class Link:
    """One stream of the recording. start, stop: its frames, counted from the beginning of the recording."""

    start: int
    stop: int
    sound: Sound | LibavSound
    reader: PartsReader | None


@dataclass(frozen=True)
class OpenRecording:
    """A recording that can be read. links: its streams, in order; all have one rate and one number of channels."""

    name: str
    facts: HeaderFacts
    links: tuple[Link, ...]
    source: Source
    may_go_on: bool
    """Whether the file could hold sound beyond the length in its header; then reading to the end shows it."""

    @property
    def is_mpeg(self) -> bool:
        """Whether libmpg123 decodes it, which writes warnings to stderr."""
        return "MPEG" in self.facts.format

    @property
    def decoder(self) -> dict[str, str]:
        """Names and versions of the decoder, if it is not libsndfile."""
        sound = self.links[0].sound
        return sound.versions if isinstance(sound, LibavSound) else {}

    def unread_bytes(self) -> int:
        """Return how many bytes follow the position of the last stream's decoder."""
        reader = self.links[-1].reader
        return reader.size_bytes - reader.tell() if reader else self.source.size_bytes - self.source.position()

    def check_reads(self) -> None:
        """Raise the OSError of a failed read, which libsndfile hides."""
        _check_reads(self.source, [link.reader for link in self.links])


@contextlib.contextmanager
def open_recording(place: Place, *, is_thorough: bool) -> Iterator[OpenRecording]:
    """Open a recording for the duration of a `with` block.

    is_thorough: look for damage inside too, as decoding does; planning reads headers and the ends of files only.
    Raises: the errors of `tasks.audio.recording.probe`.
    """
    with open_source(place) as source, contextlib.ExitStack() as stack:
        if source.size_bytes == 0:
            raise Empty(f"{source.name} is 0 bytes long")
        found, links = _streams(source, stack, is_thorough=is_thorough)
        first = links[0].sound
        facts = HeaderFacts(links[-1].stop, first.samplerate, first.channels, f"{first.format}/{first.subtype}")
        _check_header(facts, found, source)
        yield OpenRecording(source.name, facts, links, source, found.may_go_on)


def _streams(source: Source, stack: contextlib.ExitStack, *, is_thorough: bool) -> tuple[Contents, tuple[Link, ...]]:
    """Find and open the streams of a file."""
    kind = foreign.kind_of(source)
    if kind is None:
        return _streams_of_libsndfile(source, stack, is_thorough=is_thorough)
    if kind.is_for_libsndfile:
        try:
            return _streams_of_libsndfile(source, stack, is_thorough=is_thorough)
        except UnsupportedFormat as error:
            refused = error
        with contextlib.suppress(NoDecoder, UnsupportedFormat, Empty):
            return _stream_of_libav(source, kind, is_thorough=is_thorough)
        raise refused
    return _stream_of_libav(source, kind, is_thorough=is_thorough)


def _stream_of_libav(
    source: Source, kind: foreign.ForeignFormat, *, is_thorough: bool
) -> tuple[Contents, tuple[Link, ...]]:
    sound = _kept_sound(source, kind) if is_thorough else _measured_sound(source, kind, is_thorough=False)
    missing_bytes = foreign.missing_bytes(source, kind)
    if kind.is_for_libsndfile and (chunks := measure(source, is_thorough=False)):
        missing_bytes = chunks.missing_bytes
    found = Contents(WHOLE_FILE, missing_bytes=missing_bytes, present_bytes=source.size_bytes)
    return found, (Link(0, sound.frames, sound, None),)


def _kept_sound(source: Source, kind: foreign.ForeignFormat) -> LibavSound:
    """Decode a file, once for all of its spans that this process decodes in turn, also if it is damaged."""
    identity, sound = _last_decoded[0] if _last_decoded else (None, None)
    if sound is None or identity != source.identity or (isinstance(sound, LibavSound) and sound.has_failed):
        _last_decoded.clear()
        try:
            sound = _measured_sound(source, kind, is_thorough=True)
        except Unusable as error:
            sound = error
        _last_decoded[:] = [(source.identity, sound)]
    if isinstance(sound, Unusable):
        raise type(sound)(str(sound))
    sound.file = source
    return sound


def _measured_sound(source: Source, kind: foreign.ForeignFormat, *, is_thorough: bool) -> LibavSound:
    sound = LibavSound(source, kind)
    sound.measure(is_thorough=is_thorough)
    return sound


def _streams_of_libsndfile(
    source: Source, stack: contextlib.ExitStack, *, is_thorough: bool
) -> tuple[Contents, tuple[Link, ...]]:
    found = _measured(source) if is_thorough else measure(source, is_thorough=False)
    if found is not None:
        try:
            with muted_stderr():  # libmpg123 warns where a length header disagrees with the file
                return found, _open_links(source, found, stack)
        except Unreadable as malformed:  # libsndfile calls a truncated CAF file malformed
            if found.missing_bytes:
                raise Inconsistent(
                    f"{source.name} is truncated: its header declares "
                    f"{found.present_bytes + found.missing_bytes:,} bytes of samples, but the file holds "
                    f"{found.present_bytes:,}"
                ) from malformed
            raise
    found = Contents(WHOLE_FILE, may_go_on=True)
    links: tuple[Link, ...] = ()
    error = None
    try:
        with muted_stderr():  # libmpg123 searches for frames, and writes warnings
            links = _open_links(source, found, stack)
    except (UnsupportedFormat, Unreadable) as refused:
        error = refused
    if links and "MPEG" not in links[0].sound.subtype:
        return found, links
    behind = behind_other_bytes(source)
    if behind is not None:
        with muted_stderr():
            return behind, _open_links(source, behind, stack)
    if error is not None:
        raise error
    return found, links


def _measured(source: Source) -> Contents | None:
    """Measure a file thoroughly, once for all of its spans that this process decodes in turn."""
    identity, found = _last_measured[0]
    if identity != source.identity:
        found = measure(source, is_thorough=True)
        _last_measured[0] = source.identity, found
    return found


def _open_links(source: Source, found: Contents, stack: contextlib.ExitStack) -> tuple[Link, ...]:
    """Open all streams and number their frames. Raises Inconsistent if rate or channels differ between them."""
    links: list[Link] = []
    start = 0
    readers = [PartsReader(source, stream.parts) if stream.parts else None for stream in found.streams]
    sounds = [stack.enter_context(_open_sound(source, reader)) for reader in readers]
    for sound, reader in zip(sounds, readers, strict=True):
        if (sound.samplerate, sound.channels) != (sounds[0].samplerate, sounds[0].channels):
            raise Inconsistent(
                f"{source.name} changes from {sounds[0].samplerate} Hz and {sounds[0].channels} channels to "
                f"{sound.samplerate} Hz and {sound.channels} after {start / sounds[0].samplerate:.1f} s; split it"
            )
        links.append(Link(start, start + sound.frames, sound, reader))
        start = links[-1].stop
    return tuple(links)


def _open_sound(source: Source, reader: PartsReader | None) -> Sound:
    name = source.name
    try:
        return Sound(reader or source.handle, closefd=False)
    except soundfile.LibsndfileError as error:
        _check_reads(source, [reader])
        check_memory(name, error)
        if error.code in (_UNKNOWN_FORMAT, _UNSUPPORTED_ENCODING, _UNIMPLEMENTED_FORMAT):
            raise UnsupportedFormat(
                f"{name} is not in a format that libsndfile decodes: {error.error_string}; convert it to WAV or FLAC"
            ) from error
        reason = "it contains no decodable audio" if error.code == _BAD_FILE else error.error_string
        raise Unreadable(f"{name} cannot be opened: {reason}") from error


def _check_reads(source: Source, readers: Sequence[PartsReader | None]) -> None:
    for reader in readers:
        if reader and reader.error:
            raise reader.error
    source.check_reads()


def check_memory(name: str, error: soundfile.SoundFileError) -> None:
    """Raise MemoryError if libsndfile ran out of memory; then the machine is at fault, not the recording."""
    if getattr(error, "code", None) == _NO_MEMORY:
        raise MemoryError(f"{name}: libsndfile could not allocate memory") from error


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Discard what libmpg123 writes to file descriptor 2: warnings about bytes that are not MP3.

    The descriptor belongs to the whole process. It is redirected only while a file is opened or MPEG audio is read.
    """
    with _stderr_lock, contextlib.ExitStack() as stack:
        try:
            stderr_copy = os.dup(2)
        except OSError:  # the process has no stderr
            yield
            return
        stack.callback(os.close, stderr_copy)
        devnull = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, devnull)
        os.dup2(devnull, 2)
        stack.callback(os.dup2, stderr_copy, 2)
        yield


def _check_header(facts: HeaderFacts, found: Contents, source: Source) -> None:
    """Raise Inconsistent if the header declares more audio than the file can contain."""
    size_bytes, name = source.size_bytes, source.name
    if facts.n_frames < 0 or facts.n_frames > size_bytes * MOST_FRAMES_PER_BYTE:
        raise Inconsistent(
            f"{name} has {size_bytes} bytes, but its header declares {facts.n_frames} frames; "
            "no format stores so many in a file of this size"
        )
    if found.missing_bytes * facts.n_frames > TOLERANCE_S * facts.rate_hz * max(1, found.present_bytes):
        present_s = facts.n_frames / facts.rate_hz
        stated_s = present_s * (1 + found.missing_bytes / max(1, found.present_bytes))
        raise Inconsistent(
            f"{name} is truncated: its header declares {stated_s:.1f} s, but the file holds {present_s:.1f} s"
        )
