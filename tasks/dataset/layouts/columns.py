"""Which column of somebody's csv means what, and what its cells say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.reasons import ReasonCode
from tasks.dataset.layouts.circumstances import MetadataColumns
from tasks.dataset.layouts.layout import NOBODY_KNOWS, BadRowError, label_of, printable

# For each meaning the names understood, the preferred one first; case, spaces and hyphens do not matter.
MEANINGS: dict[str, tuple[str, ...]] = {
    "path": ("path", "filepath", "file_path", "uri", "file_name", "filename", "file", "recording"),
    "label": ("primary_label", "label", "class", "category", "species", "scientific_name"),
    "secondary": ("secondary_labels", "secondary_label", "secondary"),
    "author": ("author", "recordist"),
    "group": ("group", "group_id", "source_clip", "src_file"),
    "fold": ("fold",),
    "split": ("split",),
    "latitude": ("latitude", "lat", "decimal_latitude", "decimallatitude"),
    "longitude": ("longitude", "lon", "lng", "long", "decimal_longitude", "decimallongitude"),
    "date": (
        "date",
        "event_date",
        "eventdate",
        "observed_on",
        "recorded_on",
        "recording_date",
        "datetime",
        "timestamp",
    ),
    "month": ("month",),
    "time": ("time", "time_of_day", "event_time", "eventtime", "recording_time"),
    "hour": ("hour",),
}

SPLIT_WORDS: dict[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev", "development"), "valid"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}

_LONGEST_NAME = 1000
_FOLD = re.compile(r"(\d{1,4})(?:\.0*)?", re.ASCII)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@dataclass(frozen=True)
class Columns:
    """Positions of the columns understood; None where the csv has no such column."""

    path: int
    label: int
    secondary: int | None
    author: int | None
    group: int | None
    fold: int | None
    split: int | None
    metadata: MetadataColumns | None = None

    def by_meaning(self) -> dict[str, int]:
        """Positions of the columns that are there."""
        found = {name: value for name, value in vars(self).items() if name != "metadata"}
        found |= self.metadata._asdict() if self.metadata else {}
        return {meaning: position for meaning, position in found.items() if position is not None}


def columns(header: Sequence[str]) -> Columns | None:
    """The columns of a header, or None when it lacks a path or a label.

    >>> found = columns(["File Name", "Class", "fold", "Lat"])
    >>> found.path, found.label, found.fold, found.split, found.metadata
    (0, 1, 2, None, MetadataColumns(latitude=3, longitude=None, date=None, month=None, time=None, hour=None))
    """
    plain = [re.sub(r"[\s-]+", "_", name.strip().casefold()) for name in header]
    found = {
        meaning: next((plain.index(name) for name in names if name in plain), None)
        for meaning, names in MEANINGS.items()
    }
    path, label = found.pop("path"), found.pop("label")
    if path is None or label is None:
        return None
    metadata = MetadataColumns(**{meaning: found.pop(meaning) for meaning in MetadataColumns._fields})
    is_any = any(position is not None for position in metadata)
    return Columns(path=path, label=label, **found, metadata=metadata if is_any else None)


def fold_of(text: str) -> int | None:
    """A fold's number, None for an empty cell. Raises BadRowError for anything but a whole number from 0 to 9999.

    >>> fold_of("3"), fold_of("3.0"), fold_of("")
    (3, 3, None)
    """
    text = text.strip()
    if not text:
        return None
    match = _FOLD.fullmatch(text)
    if match is None:
        raise BadRowError(ReasonCode.BAD_FOLD, f"{text!r:.40}")
    return int(match[1])


def split_of(text: str) -> str | None:
    """`train`, `valid` or `test`, None for an empty cell. Raises BadRowError for a word that is none of `SPLIT_WORDS`.

    >>> split_of("Validation")
    'valid'
    """
    word = text.strip().casefold()
    if not word:
        return None
    if word not in SPLIT_WORDS:
        raise BadRowError(ReasonCode.BAD_SPLIT, f"{text.strip()!r:.40}; use train, valid or test")
    return SPLIT_WORDS[word]


def name_of(text: str) -> str | None:
    """An author's or group's name, None where the cell says that nobody knows it; what no database takes is escaped.

    Raises BadRowError for one that is no name: longer than 1,000 characters.
    """
    name = printable(" ".join(text.split()))
    if len(name) > _LONGEST_NAME:
        raise BadRowError(ReasonCode.NAME_TOO_LONG, f"{len(name)} characters, {_LONGEST_NAME} are allowed")
    return None if name.casefold() in NOBODY_KNOWS else name


def secondary_of(text: str, primary: str) -> tuple[str, ...]:
    """Further labels in a cell: a list as Python prints it, or words between commas, semicolons or bars.

    >>> secondary_of("['amerob', \\"Anna's\\", '']", "wren"), secondary_of("robin; wren", "wren")
    (('amerob', "Anna's"), ('robin',))

    Raises BadRowError for a label that `label_of` refuses.
    """
    text = text.strip()
    if not text or text == "[]":
        return ()
    if text.startswith("["):
        parts = [single or double for single, double in _QUOTED.findall(text)]
    else:
        parts = re.split(r"[,;|]", text)
    labels = dict.fromkeys(label_of(part) for part in parts if part.strip())
    labels.pop(primary, None)
    return tuple(labels)
