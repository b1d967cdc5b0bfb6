"""Finds out which layout a dataset has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.class_folders import class_folders
from tasks.dataset.layouts.columns import columns
from tasks.dataset.layouts.files import is_junk_name
from tasks.dataset.layouts.labelled_csv import METADATA_FOLDERS, has_times, labelled_csv
from tasks.dataset.layouts.layout import DoubtfulDataset, Layout, LayoutError, LayoutNotFound, Reading
from tasks.dataset.layouts.table import TABLE_SUFFIXES, open_table

# If several tables in a folder have the required columns, the first of these names wins.
_KNOWN_NAMES = ("train_metadata.csv", "metadata.csv", "labels.csv")
_NAMED = 5


def open_layout(
    path: Path | Bucket,
    *,
    is_trusted: bool = False,
    class_folders: tuple[str, ...] = (),
    path_column: str | None = None,
    label_column: str | None = None,
) -> Layout:
    """Open a dataset: a csv, a folder that contains one, or a folder of class folders; on disk or in a bucket.

    The options are those of `Reading`.
    Raises: LayoutNotFound if the path does not exist; LayoutError if it has no recordings or no supported layout;
    DoubtfulDataset if the user must decide how to read it.
    """
    reading = Reading(is_trusted, class_folders, path_column, label_column)
    if isinstance(path, Bucket):
        return _in_bucket(path, reading)
    return _on_disk(path, reading)


def _on_disk(path: Path, reading: Reading) -> Layout:
    if not path.exists():
        raise LayoutNotFound(f"{path} does not exist; give the dataset's folder or its csv")
    if path.is_file():
        if path.suffix.lower() not in TABLE_SUFFIXES:
            raise LayoutError(f"{path} is a file but not a csv; give the dataset's folder or its csv")
        return labelled_csv(path, reading)
    if not path.is_dir():
        raise LayoutError(f"{path} is neither a folder nor a csv; give the dataset's folder or its csv")
    try:
        return _in_folder(path, reading)
    except OSError as error:
        raise LayoutError(f"{path} cannot be opened: {error.strerror}") from error


def _in_bucket(bucket: Bucket, reading: Reading) -> Layout:
    if not bucket.table_uri and not bucket.holds_anything():
        raise LayoutNotFound(f"{bucket} contains no objects; give the dataset's prefix or its csv")
    if not bucket.table_uri:
        return _in_folder(bucket, reading)
    try:
        table = bucket.table(bucket.table_uri)
    except FileNotFoundError as error:
        raise LayoutNotFound(f"{bucket}/{bucket.table_uri} does not exist; give the dataset's prefix") from error
    return labelled_csv(table, reading, bucket=bucket)


def _in_folder(folder: Path | Bucket, reading: Reading) -> Layout:
    table, notes = _chosen(folder, reading)
    if table:
        return labelled_csv(table, reading, bucket=folder if isinstance(folder, Bucket) else None, notes=notes)
    if reading.is_trusted:
        raise LayoutError(f"{folder} contains no csv with a path and a label column; omit --trust-csv")
    try:
        found = class_folders(folder, reading)
    except LayoutError as error:
        raise type(error)("; ".join([str(error), *notes])) from error
    return replace(found, notes=(*found.notes, *notes))


def _chosen(folder: Path | Bucket, reading: Reading) -> tuple[Path | None, tuple[str, ...]]:
    """Return the csv that describes a folder, or None if its class folders count; and why each other table is not used.

    Raises: LayoutError if several tables, or none, can be used; DoubtfulDataset if the only one has rows with times.
    """
    tables = list(_downloaded_tables(folder) if isinstance(folder, Bucket) else _tables(folder))
    reasons = {path: _why_unusable(path, reading) for path in tables}
    usable = [path for path, why in reasons.items() if why is None]
    known = [path for name in _KNOWN_NAMES for path in usable if path.name == name]
    if len(usable) > 1 and not known:
        names = ", ".join(path.name for path in usable)
        raise LayoutError(f"{folder} contains several csv files with paths and labels: {names}; give the path of one")
    used = next(iter([*known, *usable]), None)
    if used:
        return used, _unused(folder, {p: why or f"{used.name} is used" for p, why in reasons.items() if p != used})
    timed = [path for path, why in reasons.items() if why == _HAS_TIMES]
    is_asked = reading.path_column is not None or reading.label_column is not None
    if timed or (tables and is_asked) or (len(tables) == 1 and not _has_folders(folder)):
        return (timed or tables)[0], ()  # opening it raises an error that says why
    if is_asked:
        raise DoubtfulDataset(f"{folder} contains no csv; --path-column and --label-column name columns of a csv")
    return None, _unused(folder, {path: why or "" for path, why in reasons.items()})


_HAS_TIMES = "its rows label parts of recordings"


def _why_unusable(path: Path, reading: Reading) -> str | None:
    """Return why a table cannot be used; None if it can."""
    try:
        table = open_table(path)
    except LayoutError as error:
        return str(error)
    if (found := columns(table.header, reading.path_column, reading.label_column)) is not None:
        return _HAS_TIMES if has_times(table, found) else None
    return f"no columns for path and label among {', '.join(table.header[:_NAMED])}"


def _unused(folder: Path | Bucket, reasons: dict[Path, str]) -> tuple[str, ...]:
    named = [f"{path.name} is not used: {why}" for path, why in list(reasons.items())[:_NAMED]]
    if len(reasons) > _NAMED:
        named.append(f"{len(reasons) - _NAMED:,} further tables in {folder} are not used")
    return tuple(named)


def _tables(folder: Path) -> Iterator[Path]:
    """Yield csv and tsv files in a folder, then in its metadata folders, by name.

    Other suffixes of `TABLE_SUFFIXES` count only if the user gives the file itself: a .txt is rarely a table.
    """
    for place in (folder, *(folder / name for name in METADATA_FOLDERS)):
        if place.is_dir():
            found = (path for path in place.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
            yield from sorted(path for path in found if not is_junk_name(path.name) and path.is_file())


def _downloaded_tables(bucket: Bucket) -> Iterator[Path]:
    """Do the same for a bucket; download each table."""
    folders, _ = bucket.entries("")
    for place in ("", *(name for name in METADATA_FOLDERS if name in folders)):
        for name in bucket.entries(place)[1]:
            if name.lower().endswith((".csv", ".tsv")) and not is_junk_name(name):
                yield bucket.table(f"{place}/{name}".lstrip("/"))


def _has_folders(folder: Path | Bucket) -> bool:
    if isinstance(folder, Bucket):
        return any(not is_junk_name(name) for name in folder.entries("")[0])
    return any(path.is_dir() and not is_junk_name(path.name) for path in folder.iterdir())
