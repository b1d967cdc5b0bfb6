"""The interface of layouts: usable rows, and unusable rows with the reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.errors import ChorusError, Impossible
from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.findings import Findings
from tasks.dataset.shards.metadata import UNKNOWN, Metadata

# BirdNET's folder names for recordings without an event. They are labels like any other: the network has a class for
# each.
NON_EVENTS = frozenset({"noise", "background", "other", "silence"})

_LONGEST_LABEL = 200

# Cells that mean "unknown". A placeholder such as "unknown" must not become an author: unrelated recordings would
# become one group.
PLACEHOLDERS = frozenset({"", "-", "?", "anonymous", "n/a", "na", "nan", "none", "null", "unknown"})

# Control characters, and the surrogates that Python substitutes for bytes that are not UTF-8. Databases refuse them,
# and terminals may interpret them.
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# Characters without a glyph: soft hyphen, zero-width space, direction marks, word joiner, byte order mark. The joiners
# U+200C and U+200D change words of Persian and Indic scripts, and are removed elsewhere only.
_INVISIBLE = re.compile(
    r"[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]|(?<![\u0600-\u1fff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u1fff])"
)


class LayoutError(Impossible):
    """The path is not a dataset in a supported layout."""


class LayoutNotFound(LayoutError):
    """The path does not exist."""

    exit_code = 2


class DoubtfulDataset(LayoutError):
    """The dataset may be read in several ways, or says what is not supported. The user must decide."""

    exit_code = 2


@dataclass(frozen=True)
class Reading:
    """How the user asks to read a dataset.

    is_trusted: do not check that the files of a csv exist.
    class_folders: folders that are classes, although their names are words for a split, a fold or a container.
    path_column, label_column: columns of the csv to use; None takes the known names.
    is_labelled: False for recordings to predict: no label is needed, and none is read.
    """

    is_trusted: bool = False
    class_folders: tuple[str, ...] = ()
    path_column: str | None = None
    label_column: str | None = None
    is_labelled: bool = True


class UnusableRowError(ChorusError):
    """One row cannot be used; the text is the reason. The layout yields a UnusableRow and continues."""

    def __init__(self, code: ReasonCode, detail: str = "") -> None:
        super().__init__(_sentence(code, detail))
        self.code, self.detail = code, detail


class Row(NamedTuple):
    """One recording as the dataset describes it; None means that the dataset does not say.

    uri: POSIX path below the layout's root, spelt as on disk, so that `root / uri` opens the file; or an object's key.
    label: the class; "" if labels are not read.  secondary: other labels of the recording, without `label`.
    fold: >= 0.  split: "train", "valid" or "test".
    line: line of the csv, from 1; 0 if no csv names the recording.
    unclear: cells of place and time that cannot be parsed, such as "latitude '999'".
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


class UnusableRow(NamedTuple):
    """A row that cannot be used. detail: completes the sentence of the reason code; may be empty.

    label: the class that the row names; "" if it is unknown.
    """

    line: int
    uri: str
    code: ReasonCode
    detail: str = ""
    label: str = ""

    @property
    def place(self) -> str:
        """Where the row is, for people: the line of the csv, if there is one, and the path."""
        return f"line {self.line}: {self.uri}" if self.line else self.uri

    @property
    def reason(self) -> str:
        """The sentence for people: the code's short name, then a colon and the detail."""
        return _sentence(self.code, self.detail)


def _sentence(code: ReasonCode, detail: str) -> str:
    return f"{code.words}: {detail}" if detail else code.words


class Layout(Protocol):
    """A dataset in one supported layout."""

    @property
    def name(self) -> str:
        """Name of the layout for users, such as `BirdCLEF csv`."""

    @property
    def root(self) -> Path | Bucket:
        """The folder that contains all recordings, with links resolved; or the bucket."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that tell the user how the dataset was interpreted."""

    @property
    def has_metadata(self) -> bool:
        """Whether the dataset has columns for place or time."""

    @property
    def findings(self) -> Findings:
        """What the last complete pass over `rows` noticed beside its rows."""

    def rows(self) -> Iterator[Row | UnusableRow]:
        """Yield every row, usable or not, always in the same order. Memory does not grow with their number."""


def label_of(text: str) -> str:
    """Return a label with normalised Unicode (NFC) and single spaces, without invisible characters.

    >>> label_of("  Grey   heron ")
    'Grey heron'

    Raises: UnusableRowError if the label is empty, longer than 200 characters, or contains unprintable characters.
    """
    label = " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFC", text)).split())
    if not label:
        raise UnusableRowError(ReasonCode.EMPTY_LABEL)
    if len(label) > _LONGEST_LABEL:
        raise UnusableRowError(ReasonCode.LABEL_TOO_LONG, f"{len(label)} characters; the limit is {_LONGEST_LABEL}")
    if not is_storable(label):
        raise UnusableRowError(ReasonCode.UNPRINTABLE_LABEL, f"{label!r:.60}")
    return label


def is_non_event(label: str) -> bool:
    """Return whether a label is one of BirdNET's names for recordings without an event, in any case.

    >>> is_non_event("Background"), is_non_event("Wren")
    (True, False)
    """
    return label.casefold() in NON_EVENTS


def is_storable(text: str) -> bool:
    """Return whether a text has no control characters and only valid UTF-8, so that databases accept it."""
    return _UNSTORABLE.search(text) is None


def printable(text: str) -> str:
    r"""Return a text with control characters and invalid UTF-8 escaped, safe to store and to print.

    >>> printable("caf\udce9\n.wav")
    'caf\\xe9\\n.wav'
    """
    return _UNSTORABLE.sub(lambda match: _escaped(match[0]), text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
