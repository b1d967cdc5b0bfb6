"""From a path somebody typed to the layout it has."""

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

# A folder with several tables that would do is described by the one with the first of these names.
_KNOWN_NAMES = ("train_metadata.csv", "metadata.csv", "labels.csv")


def open_layout(path: Path | Bucket, *, is_trusted: bool = False) -> Layout:
    """The layout of a dataset: a csv, a folder that holds one, or a folder of class folders; on disk or in a bucket.

    is_trusted: take a csv's word that its files are there.
    Raises LayoutError where the path does not exist, holds no recordings, or is no layout known here.
    """
    if isinstance(path, Bucket):
        return _in_bucket(path, is_trusted=is_trusted)
    return _on_disk(path, is_trusted=is_trusted)


def _on_disk(path: Path, *, is_trusted: bool) -> Layout:
    if not path.exists():
        raise LayoutNotFound(f"{path} does not exist; give the dataset's folder or its csv")
    if path.is_file():
        if path.suffix.lower() not in TABLE_SUFFIXES:
            raise LayoutError(f"{path} is a file but no csv; give the dataset's folder or its csv")
        return labelled_csv(path, is_trusted=is_trusted)
    if not path.is_dir():
        raise LayoutError(f"{path} is neither a folder nor a csv; give the dataset's folder or its csv")
    try:
        table = _table(path)
        if table:
            return labelled_csv(table, is_trusted=is_trusted)
        if is_trusted:
            raise LayoutError(f"{path} holds no csv that could be trusted; leave --trust-csv away")
        return class_folders(path)
    except OSError as error:
        raise LayoutError(f"{path} cannot be opened: {error.strerror}") from error


def _in_bucket(bucket: Bucket, *, is_trusted: bool) -> Layout:
    if not bucket.table_uri and not bucket.holds_anything():
        raise LayoutNotFound(f"{bucket} holds nothing; give the dataset's prefix or its csv")
    try:
        table = bucket.table(bucket.table_uri) if bucket.table_uri else _table(bucket)
    except FileNotFoundError as error:
        raise LayoutNotFound(f"{bucket}/{bucket.table_uri} does not exist; give the dataset's prefix") from error
    if table:
        return labelled_csv(table, is_trusted=is_trusted, bucket=bucket)
    if is_trusted:
        raise LayoutError(f"{bucket} holds no csv that could be trusted; leave --trust-csv away")
    return class_folders(bucket)


def _table(folder: Path | Bucket) -> Path | None:
    """The csv that describes a folder, None when its class folders do."""
    tables = list(_fetched_tables(folder) if isinstance(folder, Bucket) else _tables(folder))
    fitting = [path for path in tables if _fits(path)]
    for name in _KNOWN_NAMES:
        named = [path for path in fitting if path.name == name]
        if named:
            return named[0]
    if len(fitting) > 1:
        names = ", ".join(path.name for path in fitting)
        raise LayoutError(f"{folder} holds several csv files with paths and labels: {names}; give the path of one")
    if fitting:
        return fitting[0]
    if len(tables) == 1 and not _has_folders(folder):
        return tables[0]  # opening it says which columns are missing
    return None


def _tables(folder: Path) -> Iterator[Path]:
    """Csv and tsv files in a folder, then those in its metadata folders, each by name. A .txt has to be named."""
    for place in (folder, *(folder / name for name in METADATA_FOLDERS)):
        if place.is_dir():
            found = (path for path in place.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
            yield from sorted(path for path in found if not is_junk_name(path.name) and path.is_file())


def _fetched_tables(bucket: Bucket) -> Iterator[Path]:
    """As above, of a bucket."""
    folders, _ = bucket.entries("")
    for place in ("", *(name for name in METADATA_FOLDERS if name in folders)):
        for name in bucket.entries(place)[1]:
            if name.lower().endswith((".csv", ".tsv")) and not is_junk_name(name):
                yield bucket.table(f"{place}/{name}".lstrip("/"))


def _fits(table: Path) -> bool:
    try:
        return columns(open_table(table).header) is not None
    except LayoutError:
        return False


def _has_folders(folder: Path | Bucket) -> bool:
    if isinstance(folder, Bucket):
        return any(not is_junk_name(name) for name in folder.entries("")[0])
    return any(path.is_dir() and not is_junk_name(path.name) for path in folder.iterdir())
