"""Finds the folder that the paths of a csv are relative to, by looking for the files of its first rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path

from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.columns import Columns
from tasks.dataset.layouts.files import AUDIO_SUFFIXES, Files, is_audio_name, is_junk_name
from tasks.dataset.layouts.layout import UnusableRowError
from tasks.dataset.layouts.table import CsvTable

_SAMPLED_ROWS = 500
_SAMPLED_OBJECTS = 50  # fewer, because each may need a request to the store
_SAMPLED_ENDINGS = 20
_MOST_FOLDERS = 64
_COMMON_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class CsvPlace:
    """Where the recordings of a csv are.

    folder: below the root.  inner: the column whose cell names a further folder: "label", "fold" or "split"; "" for
    none. A cell `3` of the column fold means the folder `fold3`.  ending: is added to each path.
    """

    folder: str = ""
    inner: str = ""
    ending: str = ""

    def path_below_root(self, fields: Sequence[str], at: Columns, label: str) -> str:
        """Return the path of a row's recording, relative to the root; or absolute, as the row says."""
        path = fields[at.path].strip() + self.ending
        if path.startswith("/"):
            return path
        return "/".join(part for part in (self.folder, self._inner(fields, at, label), path) if part)

    def _inner(self, fields: Sequence[str], at: Columns, label: str) -> str:
        if not self.inner:
            return ""
        if self.inner == "label":
            return label
        position = at.fold if self.inner == "fold" else at.split
        cell = "" if position is None else fields[position].strip()
        return f"fold{cell}" if self.inner == "fold" and cell.isdecimal() else cell

    def pattern(self) -> str:
        """Return the place for people.

        >>> CsvPlace("audio", "fold").pattern()
        'audio/fold<fold>/<path>'
        """
        inner = {"": "", "label": "<label>", "fold": "fold<fold>", "split": "<split>"}[self.inner]
        return "/".join(part for part in (self.folder, inner, f"<path>{self.ending}") if part)


def find_place(root: Path | Bucket, table: CsvTable, at: Columns) -> CsvPlace:
    """Return the place at which most of the first rows have their files; the root itself if no place has any."""
    n_rows = _SAMPLED_OBJECTS if isinstance(root, Bucket) else _SAMPLED_ROWS
    sample = [fields for _, fields in islice(table.records(), n_rows) if not isinstance(fields, str)]
    files, inners = Files(root), ["", *(name for name in ("label", "fold", "split") if getattr(at, name) is not None)]
    places = [CsvPlace(folder, inner) for folder, inner in product(["", *_folders(root)], inners)]
    best, most = _best(files, places, sample, at)
    if most == 0 and sample and not any(is_audio_name(fields[at.path].strip()) for fields in sample):
        endings = dict.fromkeys([*_COMMON_ENDINGS, *sorted(AUDIO_SUFFIXES)])
        with_ending = (replace(place, ending=ending) for ending in endings for place in places)
        best, _ = _best(files, with_ending, sample[:_SAMPLED_ENDINGS], at)
    return best


def _best(
    files: Files, places: Iterator[CsvPlace] | list[CsvPlace], sample: list[list[str]], at: Columns
) -> tuple[CsvPlace, int]:
    best, most = CsvPlace(), 0
    for place in places:
        hits = sum(_exists(files, place.path_below_root(fields, at, label_cell(fields, at))) for fields in sample)
        if hits > most:
            best, most = place, hits
        if most == len(sample):
            break
    return best, most


def label_cell(fields: Sequence[str], at: Columns) -> str:
    """The label as written; "" if the table has no such column."""
    return "" if at.label is None else fields[at.label].strip()


def _folders(root: Path | Bucket) -> list[str]:
    if isinstance(root, Bucket):
        return [name for name in root.entries("")[0] if not is_junk_name(name)][:_MOST_FOLDERS]
    found = (entry.name for entry in root.iterdir() if not is_junk_name(entry.name) and entry.is_dir())
    return sorted(found)[:_MOST_FOLDERS]


def _exists(files: Files, written: str) -> bool:
    try:
        return bool(files.uri(written))
    except UnusableRowError:
        return False
