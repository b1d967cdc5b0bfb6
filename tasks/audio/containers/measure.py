"""Finds the streams of audio in a file of any container."""

from __future__ import annotations

from tasks.audio.containers import chunked, flac, mpeg, ogg_pages
from tasks.audio.containers.chunked import Contents
from tasks.audio.containers.parts import File

MOST_FRAMES_PER_BYTE = 8_192
"""Upper bound over all formats: silent FLAC stores 65,535 samples in about ten bytes."""


def measure(file: File, *, is_thorough: bool) -> Contents | None:
    """Return the streams of audio in a file; None if no container or frame of a known kind begins it.

    is_thorough: also look for damage inside Ogg files, which reads all of their bytes.
    Raises: Inconsistent if the file holds more than one recording, or less than its header states; Unreadable if more
    than 0.1 s inside it cannot be decoded; OSError if reading fails.
    """
    start = mpeg.after_tags(file, 0)
    mark = file.pread(4, start)
    if mark in chunked.MARKS and start == 0:
        return chunked.contents(file, mark)
    if mark == b"OggS" and start == 0:
        return Contents(ogg_pages.streams(file, is_thorough=is_thorough))
    if mark == b"fLaC":
        return Contents(flac.streams(file, start), may_go_on=True)
    return Contents(mpeg.streams(file, start)) if mpeg.is_frame(file, start) else None


def behind_other_bytes(file: File) -> Contents | None:
    """Return the stream of MPEG frames behind bytes of an unknown kind; None if there is none within 1 MiB.

    Only for files that libsndfile cannot open: samples of a container unknown here may look like frames.
    Raises: as `measure`.
    """
    first = mpeg.first_frame(file, 0, file.size_bytes)
    return None if first is None else Contents(mpeg.streams(file, first))
