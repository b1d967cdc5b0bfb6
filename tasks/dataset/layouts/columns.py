"""Maps the columns of a table to their meanings, and parses their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.reasons import ReasonCode
from domain.subsets import Subset
from tasks.dataset.layouts.layout import PLACEHOLDERS, UnusableRowError, label_of, printable
from tasks.dataset.layouts.place_and_time import MetadataColumns

# The accepted column names of each meaning, the preferred name first; case, spaces and hyphens are ignored.
MEANINGS: dict[str, tuple[str, ...]] = {
    "path": (
        "path",
        "filepath",
        "file_path",
        "uri",
        "file_name",
        "filename",
        "file",
        "recording",
        "slice_file_name",
        "fname",
        "recording_id",
        "itemid",
        "audio_path",
        "audio_file",
        "audio_filename",
    ),
    "label": ("primary_label", "ebird_code", "label", "class", "category", "species", "scientific_name"),
    "secondary": ("secondary_labels", "secondary_label", "secondary"),
    "author": ("author", "recordist"),
    "group": ("group", "group_id", "source_clip", "src_file", "fsid"),
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
    **dict.fromkeys(("train", "training"), Subset.TRAIN.word),
    **dict.fromkeys((Subset.VALID.word, "val", "validation", "dev", "development"), Subset.VALID.word),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), Subset.TEST.word),
}

# Beside one of these columns, `class` is a rank such as Aves, and the label is in another column.
_RANKS = frozenset({"kingdom", "phylum", "family", "genus"})

_BEGINS = frozenset(
    {"start", "begin", "onset", "start_time", "begin_time", "onset_time", "time_start", "t_start", "tmin", "t_min",
     "xmin", "segment_start", "clip_start", "event_start", "event_onset", "start_sample", "start_frame"}
)  # fmt: skip
_ENDS = frozenset(
    {"end", "stop", "offset", "end_time", "stop_time", "offset_time", "time_end", "t_end", "tmax", "t_max", "xmax",
     "segment_end", "clip_end", "event_end", "event_offset", "end_sample", "end_frame", "duration", "dur", "length"}
)  # fmt: skip
_UNIT = re.compile(r"_(?:s|sec|secs|seconds?|ms|msec|milliseconds?)$")

_LONGEST_NAME = 1000
_FOLD = re.compile(r"(?:fold[\s_-]*)?(\d{1,4})(?:\.0*)?", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


@dataclass(frozen=True)
class Columns:
    """Positions of the columns, from 0; None if the table has no such column.

    other_paths, other_labels: columns of the same meaning that are not used.
    times: the columns where a row's part of the recording begins and ends.
    """

    path: int
    label: int | None
    secondary: int | None
    author: int | None
    group: int | None
    fold: int | None
    split: int | None
    metadata: MetadataColumns | None = None
    other_paths: tuple[int, ...] = ()
    other_labels: tuple[int, ...] = ()
    times: tuple[int, int] | None = None

    def by_meaning(self) -> dict[str, int]:
        """Return the position of each meaning that has a column."""
        names = ("path", "label", "secondary", "author", "group", "fold", "split")
        found: dict[str, int | None] = {name: getattr(self, name) for name in names}
        found |= self.metadata._asdict() if self.metadata else {}
        return {meaning: position for meaning, position in found.items() if position is not None}


def columns(
    header: Sequence[str],
    path_column: str | None = None,
    label_column: str | None = None,
    *,
    is_labelled: bool = True,
) -> Columns | None:
    """Find the columns in a header; None if it has no path column, or no label column where one is needed.

    path_column, label_column: names that the user gave; they win over the known names.
    is_labelled: False if no label column is needed.

    >>> found = columns(["File Name", "Class", "fold", "Lat"])
    >>> found.path, found.label, found.fold, found.split, found.metadata
    (0, 1, 2, None, MetadataColumns(latitude=3, longitude=None, date=None, month=None, time=None, hour=None))
    """
    plain = [plain_name(name) for name in header]
    paths = _candidates(plain, MEANINGS["path"], path_column)
    labels = _candidates(plain, _label_names(plain), label_column)
    if not paths or (is_labelled and not labels):
        return None
    found = {
        meaning: next((plain.index(name) for name in names if name in plain), None)
        for meaning, names in MEANINGS.items()
        if meaning not in ("path", "label")
    }
    metadata = MetadataColumns(**{meaning: found.pop(meaning) for meaning in MetadataColumns._fields})
    is_any = any(position is not None for position in metadata)
    taken = {*paths[:1], *labels[:1]}
    return Columns(
        path=paths[0],
        label=labels[0] if labels else None,
        **{meaning: None if position in taken else position for meaning, position in found.items()},
        metadata=metadata if is_any else None,
        other_paths=tuple(position for position in paths[1:] if position not in taken),
        other_labels=tuple(position for position in labels[1:] if position not in taken),
        times=_times(header, plain[paths[0]]),
    )


def plain_name(name: str) -> str:
    """Return a column's name without case, spaces and hyphens.

    >>> plain_name(" File-Name ")
    'file_name'
    """
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _candidates(plain: list[str], names: Sequence[str], chosen: str | None) -> list[int]:
    """Return the positions of a meaning's columns, the one to use first; none if the chosen one does not exist."""
    known = [plain.index(name) for name in names if name in plain]
    if chosen is None:
        return known
    if plain_name(chosen) not in plain:
        return []
    at = plain.index(plain_name(chosen))
    return [at, *(position for position in known if position != at)]


def _label_names(plain: list[str]) -> Sequence[str]:
    names = MEANINGS["label"]
    if _RANKS.isdisjoint(plain):
        return names
    return [*(name for name in names if name != "class"), "class"]


def _times(header: Sequence[str], path: str) -> tuple[int, int] | None:
    """Return the columns of begin and end; None if there is none, and for UrbanSound8K.

    There `start` and `end` are times in the source clip, and the file is the slice between them.
    """
    if path == "slice_file_name":
        return None
    bare = [_UNIT.sub("", re.sub(r"[\W_]+", "_", name.casefold()).strip("_")) for name in header]
    begin = next((at for at, name in enumerate(bare) if name in _BEGINS), None)
    end = next((at for at, name in enumerate(bare) if name in _ENDS), None)
    return None if begin is None or end is None else (begin, end)


def fold_of(text: str) -> int | None:
    """Parse a fold number, also with the word "fold" before it; None for an empty cell.

    >>> fold_of("3"), fold_of("3.0"), fold_of("fold3"), fold_of("")
    (3, 3, 3, None)

    Raises: UnusableRowError for any other text than a whole number from 0 to 9999.
    """
    text = text.strip()
    if not text:
        return None
    match = _FOLD.fullmatch(text)
    if match is None:
        raise UnusableRowError(ReasonCode.BAD_FOLD, f"{text!r:.40}")
    return int(match[1])


def split_of(text: str) -> str | None:
    """Parse the name of a subset into `train`, `valid` or `test`; None for an empty cell.

    >>> split_of("Validation")
    'valid'

    Raises: UnusableRowError for a word that is not in `SPLIT_WORDS`.
    """
    word = text.strip().casefold()
    if not word:
        return None
    if word not in SPLIT_WORDS:
        raise UnusableRowError(ReasonCode.BAD_SPLIT, f"{text.strip()!r:.40}; use train, valid or test")
    return SPLIT_WORDS[word]


def name_of(text: str) -> str | None:
    """Parse the name of an author or a group; None for an empty cell or a placeholder such as "unknown".

    Unprintable characters are escaped, because databases refuse them.

    >>> name_of(" Ann  Lee "), name_of("unknown")
    ('Ann Lee', None)

    Raises: UnusableRowError for a name longer than 1,000 characters.
    """
    name = printable(" ".join(text.split()))
    if len(name) > _LONGEST_NAME:
        raise UnusableRowError(ReasonCode.NAME_TOO_LONG, f"{len(name)} characters; the limit is {_LONGEST_NAME}")
    return None if name.casefold() in PLACEHOLDERS else name


def secondary_of(text: str, primary: str) -> tuple[str, ...]:
    """Parse further labels: a Python list, or words separated by commas, semicolons or bars; without `primary`.

    >>> secondary_of("['amerob', \\"Anna's\\", '']", "wren"), secondary_of("robin; wren", "wren")
    (('amerob', "Anna's"), ('robin',))

    Raises: UnusableRowError for a label that `label_of` refuses.
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
