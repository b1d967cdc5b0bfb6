"""Notes on recordings that were used, but not simply as they are: a code for programs, and a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.plural import counted


class NoteCode(StrEnum):
    """A note's code. `words` is the rest of a sentence that begins with the number of chunks or spans."""

    words: str

    def __new__(cls, code: str, words: str) -> NoteCode:
        """A member; the code alone is its value."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.words = words
        return member

    SILENT_CHUNKS = "silent_chunks", "silence, or silence with one click; they have no spectrogram"
    LOUDER_CHANNEL = "louder_channel", "the channels cancel when they are averaged; the louder channel is used"
    DEAD_CHANNEL = "dead_channel", "a channel holds only zeros; the other channels are used"
    ABOVE_BAND = "above_band", "most of the energy lies above the preset's highest band; spectrograms do not show it"

    @property
    def unit(self) -> str:
        """What the note counts."""
        return "chunk" if self is NoteCode.SILENT_CHUNKS else "span"


NOTES = {code.value: code for code in NoteCode}

Notes = Mapping[NoteCode, int]
"""By code, the number of chunks or spans that the note is about."""


def sentence(code: NoteCode, n: int, n_recordings: int) -> str:
    """Return the sentence on all recordings with one note.

    >>> sentence(NoteCode.DEAD_CHANNEL, 3, 2)
    '3 spans in 2 recordings: a channel holds only zeros; the other channels are used'
    """
    return f"{counted(n, code.unit)} in {counted(n_recordings, 'recording')}: {code.words}"
