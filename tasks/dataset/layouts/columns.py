"""Maps the columns of a table to their meanings, and parses their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.reasons import ReasonCode
from tasks.dataset.layouts.layout import PLACEHOLDERS, BadRowError, label_of, printable
from tasks.dataset.layouts.place_and_time import MetadataColumns

# The accepted column names of each meaning, the preferred name first; case, spaces and hyphens are ignored.
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
    """Positions of the columns, from 0; None if the table has no such column."""

    path: int
    label: int
    secondary: int | None
    author: int | None
    group: int | None
    fold: int | None
    split: int | None
    metadata: MetadataColumns | None = None

    def by_meaning(self) -> dict[str, int]:
        """Return the position of each meaning that has a column."""
        found = {name: value for name, value in vars(self).items() if name != "metadata"}
        found |= self.metadata._asdict() if self.metadata else {}
        return {meaning: position for meaning, position in found.items() if position is not None}


def columns(header: Sequence[str]) -> Columns | None:
    """Find the columns in a header; None if it has no path or no label column.

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
    """Parse a fold number; None for an empty cell.

    >>> fold_of("3"), fold_of("3.0"), fold_of("")
    (3, 3, None)

    Raises: BadRowError for any other text than a whole number from 0 to 9999.
    """
    text = text.strip()
    if not text:
        return None
    match = _FOLD.fullmatch(text)
    if match is None:
        raise BadRowError(ReasonCode.BAD_FOLD, f"{text!r:.40}")
    return int(match[1])


def split_of(text: str) -> str | None:
    """Parse the name of a subset into `train`, `valid` or `test`; None for an empty cell.

    >>> split_of("Validation")
    'valid'

    Raises: BadRowError for a word that is not in `SPLIT_WORDS`.
    """
    word = text.strip().casefold()
    if not word:
        return None
    if word not in SPLIT_WORDS:
        raise BadRowError(ReasonCode.BAD_SPLIT, f"{text.strip()!r:.40}; use train, valid or test")
    return SPLIT_WORDS[word]


def name_of(text: str) -> str | None:
    """Parse the name of an author or a group; None for an empty cell or a placeholder such as "unknown".

    Unprintable characters are escaped, because databases refuse them.

    >>> name_of(" Ann  Lee "), name_of("unknown")
    ('Ann Lee', None)

    Raises: BadRowError for a name longer than 1,000 characters.
    """
    name = printable(" ".join(text.split()))
    if len(name) > _LONGEST_NAME:
        raise BadRowError(ReasonCode.NAME_TOO_LONG, f"{len(name)} characters; the limit is {_LONGEST_NAME}")
    return None if name.casefold() in PLACEHOLDERS else name


def secondary_of(text: str, primary: str) -> tuple[str, ...]:
    """Parse further labels: a Python list, or words separated by commas, semicolons or bars; without `primary`.

    >>> secondary_of("['amerob', \\"Anna's\\", '']", "wren"), secondary_of("robin; wren", "wren")
    (('amerob', "Anna's"), ('robin',))

    Raises: BadRowError for a label that `label_of` refuses.
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
