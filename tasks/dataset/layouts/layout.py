"""What every layout gives: rows a person meant, and rows that cannot be used with the reason why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.errors import ChorusError, Impossible
from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.shards.metadata import UNKNOWN, Metadata

# BirdNET's folders for "no event here". They are labels like any other: a network learns them as a class.
NON_EVENTS = frozenset({"noise", "background", "other", "silence"})

_LONGEST_LABEL = 200

# What people write in a cell for which they know nothing. Names of nobody, joined, would tie strangers into one group.
NOBODY_KNOWS = frozenset({"", "-", "?", "anonymous", "n/a", "na", "nan", "none", "null", "unknown"})

# Control characters, and what Python makes of bytes that are no UTF-8: no database or terminal takes them.
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class LayoutError(Impossible):
    """A path that is no dataset this system understands."""


class LayoutNotFound(LayoutError):
    """A path that does not exist."""

    exit_code = 2


class BadRowError(ChorusError):
    """Why one row cannot be used; a layout turns it into a BadRow and goes on."""

    def __init__(self, code: ReasonCode, detail: str = "") -> None:
        super().__init__(_sentence(code, detail))
        self.code, self.detail = code, detail


class Row(NamedTuple):
    """One recording as its owner describes it.

    uri: path below the layout's root, posix, spelt as on disk, so that `root / uri` opens the file; or an object's key.
    secondary: further labels heard in the recording, never the first one.  fold: >= 0.
    split: "train", "valid" or "test".  line: line of the csv, or the file's number in the walk; both count from 1.
    unclear: what is said of where and when and could not be understood, such as "latitude '999'".
    """

    uri: str
    label: str
    secondary: tuple[str, ...]
    author: str | None
    group: str | None
    fold: int | None
    split: str | None
    line: int
    metadata: Metadata = UNKNOWN
    unclear: tuple[str, ...] = ()


class BadRow(NamedTuple):
    """A row that names no usable recording. detail: what the code does not say; may be empty."""

    line: int
    uri: str
    code: ReasonCode
    detail: str = ""

    @property
    def reason(self) -> str:
        """The sentence for people: the code's short name, then a colon and the detail."""
        return _sentence(self.code, self.detail)


def _sentence(code: ReasonCode, detail: str) -> str:
    return f"{code.words}: {detail}" if detail else code.words


class Layout(Protocol):
    """One way people lay out labelled recordings; `rows` streams in the same order every time."""

    @property
    def name(self) -> str:
        """The word for people, such as `BirdCLEF csv`."""

    @property
    def root(self) -> Path | Bucket:
        """The folder every uri is below, with links resolved; or the bucket."""

    @property
    def notes(self) -> tuple[str, ...]:
        """How the layout was understood, one sentence each."""

    @property
    def has_metadata(self) -> bool:
        """Whether anything could say where or when a recording was made."""

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row, good or bad, one at a time."""


def label_of(text: str) -> str:
    """A label as written, with composed accents and single spaces.

    >>> label_of("  Grey   heron ")
    'Grey heron'

    Raises BadRowError when nothing is left, when it is longer than 200 characters, or when it cannot be printed.
    """
    label = " ".join(unicodedata.normalize("NFC", text).split())
    if not label:
        raise BadRowError(ReasonCode.EMPTY_LABEL)
    if len(label) > _LONGEST_LABEL:
        raise BadRowError(ReasonCode.LABEL_TOO_LONG, f"{len(label)} characters, {_LONGEST_LABEL} are allowed")
    if not is_storable(label):
        raise BadRowError(ReasonCode.UNPRINTABLE_LABEL, f"{label!r:.60}")
    return label


def is_non_event(label: str) -> bool:
    """Whether a label is one of BirdNET's words for recordings without an event.

    >>> is_non_event("Background"), is_non_event("Wren")
    (True, False)
    """
    return label.casefold() in NON_EVENTS


def is_storable(text: str) -> bool:
    """Whether a text holds neither control characters nor bytes that are no UTF-8."""
    return _UNSTORABLE.search(text) is None


def printable(text: str) -> str:
    r"""A path that can be stored and shown: bytes that are no UTF-8 and control characters are escaped.

    >>> printable("caf\udce9\n.wav")
    'caf\\xe9\\n.wav'
    """
    return _UNSTORABLE.sub(lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
