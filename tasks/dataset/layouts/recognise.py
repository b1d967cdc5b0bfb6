"""Finds out which layout a dataset has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.class_folders import class_folders
from tasks.dataset.layouts.columns import columns
from tasks.dataset.layouts.files import is_junk_name
from tasks.dataset.layouts.labelled_csv import METADATA_FOLDERS, labelled_csv
from tasks.dataset.layouts.layout import Layout, LayoutError, LayoutNotFound
from tasks.dataset.layouts.table import TABLE_SUFFIXES, open_table

# If several tables in a folder have the required columns, the first of these names wins.
_KNOWN_NAMES = ("train_metadata.csv", "metadata.csv", "labels.csv")


def open_layout(path: Path | Bucket, *, is_trusted: bool = False) -> Layout:
    """Open a dataset: a csv, a folder that contains one, or a folder of class folders; on disk or in a bucket.

    is_trusted: do not check that the files of a csv exist.
    Raises: LayoutNotFound if the path does not exist; LayoutError if it has no recordings or no supported layout.
    """
    if isinstance(path, Bucket):
        return _in_bucket(path, is_trusted=is_trusted)
    return _on_disk(path, is_trusted=is_trusted)


def _on_disk(path: Path, *, is_trusted: bool) -> Layout:
    if not path.exists():
        raise LayoutNotFound(f"{path} does not exist; give the dataset's folder or its csv")
    if path.is_file():
        if path.suffix.lower() not in TABLE_SUFFIXES:
            raise LayoutError(f"{path} is a file but not a csv; give the dataset's folder or its csv")
        return labelled_csv(path, is_trusted=is_trusted)
    if not path.is_dir():
        raise LayoutError(f"{path} is neither a folder nor a csv; give the dataset's folder or its csv")
    try:
        table = _table(path)
        if table:
            return labelled_csv(table, is_trusted=is_trusted)
        if is_trusted:
            raise LayoutError(f"{path} contains no csv with a path and a label column; omit --trust-csv")
        return class_folders(path)
    except OSError as error:
        raise LayoutError(f"{path} cannot be opened: {error.strerror}") from error


def _in_bucket(bucket: Bucket, *, is_trusted: bool) -> Layout:
    if not bucket.table_uri and not bucket.holds_anything():
        raise LayoutNotFound(f"{bucket} contains no objects; give the dataset's prefix or its csv")
    try:
        table = bucket.table(bucket.table_uri) if bucket.table_uri else _table(bucket)
    except FileNotFoundError as error:
        raise LayoutNotFound(f"{bucket}/{bucket.table_uri} does not exist; give the dataset's prefix") from error
    if table:
        return labelled_csv(table, is_trusted=is_trusted, bucket=bucket)
    if is_trusted:
        raise LayoutError(f"{bucket} contains no csv with a path and a label column; omit --trust-csv")
    return class_folders(bucket)


def _table(folder: Path | Bucket) -> Path | None:
    """Return the csv that describes a folder; None if it has none, so that its class folders count."""
    tables = list(_downloaded_tables(folder) if isinstance(folder, Bucket) else _tables(folder))
    usable = [path for path in tables if _has_required_columns(path)]
    for name in _KNOWN_NAMES:
        with_name = [path for path in usable if path.name == name]
        if with_name:
            return with_name[0]
    if len(usable) > 1:
        names = ", ".join(path.name for path in usable)
        raise LayoutError(f"{folder} contains several csv files with paths and labels: {names}; give the path of one")
    if usable:
        return usable[0]
    if len(tables) == 1 and not _has_folders(folder):
        return tables[0]  # opening it raises an error that names the missing columns
    return None


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


def _has_required_columns(table: Path) -> bool:
    try:
        return columns(open_table(table).header) is not None
    except LayoutError:
        return False


def _has_folders(folder: Path | Bucket) -> bool:
    if isinstance(folder, Bucket):
        return any(not is_junk_name(name) for name in folder.entries("")[0])
    return any(path.is_dir() and not is_junk_name(path.name) for path in folder.iterdir())
