"""Recordings without labels, to be predicted: one recording, all below a folder, or those that a csv lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.files import Files
from tasks.dataset.layouts.findings import Findings
from tasks.dataset.layouts.folder_walk import EntryKind, walk
from tasks.dataset.layouts.found_files import is_unnamed_audio, require_usable
from tasks.dataset.layouts.labelled_csv import labelled_csv
from tasks.dataset.layouts.layout import (
    Layout,
    LayoutError,
    LayoutNotFound,
    Reading,
    Row,
    UnusableRow,
    UnusableRowError,
    printable,
)
from tasks.dataset.layouts.table import TABLE_SUFFIXES


@dataclass(frozen=True)
class RecordingFolder:
    """All recordings below a folder or a prefix, by name; or only one of them.

    only: the URI of that recording; "" for all.
    """

    root: Path | Bucket
    only: str = ""
    notes: tuple[str, ...] = ()
    name: str = "folder of recordings"
    has_metadata: bool = False
    findings: Findings = field(default_factory=lambda: Findings(names="recordings"), compare=False)

    def rows(self) -> Iterator[Row | UnusableRow]:
        """Yield every recording, or why it cannot be used; label and line are empty.

        A file without the name of an audio file is used if it begins like one; others are counted.
        """
        self.findings.clear()
        files = Files(self.root, listed_names=0)
        for uri, kind in [(self.only, EntryKind.FILE)] if self.only else walk(self.root, ""):
            if kind is EntryKind.OTHER and not is_unnamed_audio(self.root, uri, self.findings):
                continue
            try:
                require_usable(uri, kind, files)
                yield Row(uri, "", (), None, None, None, None, 0)
            except UnusableRowError as error:
                yield UnusableRow(0, printable(uri), error.code, error.detail)


def open_recordings(path: Path | Bucket, *, is_trusted: bool = False, path_column: str | None = None) -> Layout:
    """Open recordings that have no labels, or whose labels do not matter.

    path: a recording, a folder, a csv with a path column, or a bucket.
    is_trusted: do not check that the files of a csv exist.  path_column: the csv's column; None takes the known names.
    Raises: LayoutNotFound if the path does not exist; LayoutError if it is no recording, folder or csv.
    """
    reading = Reading(is_trusted, path_column=path_column, is_labelled=False)
    if isinstance(path, Bucket):
        return _in_bucket(path, reading)
    if not path.exists():
        raise LayoutNotFound(f"{path} does not exist; give a recording, a folder of recordings, or a csv of paths")
    if path.is_dir():
        if is_trusted:
            raise LayoutError(f"{path} is a folder; --trust-csv needs a csv of paths")
        return RecordingFolder(path.resolve())
    if path.suffix.lower() in TABLE_SUFFIXES:
        return labelled_csv(path, reading)
    return RecordingFolder(path.parent.resolve(), path.name)


def _in_bucket(bucket: Bucket, reading: Reading) -> Layout:
    if not bucket.table_uri:
        if not bucket.holds_anything():
            raise LayoutNotFound(f"{bucket} contains no objects; give the recordings' prefix or a csv of paths")
        return RecordingFolder(bucket)
    try:
        table = bucket.table(bucket.table_uri)
    except FileNotFoundError as error:
        raise LayoutNotFound(f"{bucket}/{bucket.table_uri} does not exist; give the recordings' prefix") from error
    return labelled_csv(table, reading, bucket=bucket)
