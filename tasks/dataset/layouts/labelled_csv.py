"""The layout of a csv with a path and a label column: BirdCLEF, Hugging Face, ESC-50, or a user's own.

Recordings to predict need no label column, and no cell but the path is read of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.columns import (
    Columns,
    columns,
    fold_of,
    name_of,
    plain_name,
    secondary_of,
    split_of,
)
from tasks.dataset.layouts.digest_set import DigestSet
from tasks.dataset.layouts.files import Files
from tasks.dataset.layouts.findings import Findings
from tasks.dataset.layouts.folder_walk import EntryKind, begins_like_audio, walk
from tasks.dataset.layouts.layout import (
    DoubtfulDataset,
    LayoutError,
    Reading,
    Row,
    UnusableRow,
    UnusableRowError,
    label_of,
    printable,
)
from tasks.dataset.layouts.place import CsvPlace, find_place, label_cell
from tasks.dataset.layouts.place_and_time import metadata_of
from tasks.dataset.layouts.table import CsvTable, open_table
from tasks.dataset.shards.metadata import UNKNOWN

# A csv in a folder of this name describes the folder above, as in ESC-50 and UrbanSound8K.
METADATA_FOLDERS = ("meta", "metadata")

_ROWS_AT_ONCE = 1000
_SAMPLED_ROWS = 500
_KEPT_SPELLINGS = 100_000
_LABEL_BITS = 32

# The search for recordings that no row names stops after so many files: a csv may lie in a large folder of other files.
_WALKED_FILES = 20_000
_WALKED_A_ROW = 10
_RECORDINGS = (EntryKind.FILE, EntryKind.LINK)
_DATE = re.compile(r"\d{4}[-/.]\d|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")


class _Labels:
    """The labels of a csv: parsed once a spelling, and numbered, so that a repeated path can name both rows."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._spellings: dict[str, str] = {}
        self._numbers: dict[str, int] = {}

    def of(self, cell: str) -> str:
        """Return the label in a cell. Raises: UnusableRowError as `label_of`."""
        label = self._spellings.get(cell)
        if label is None:
            label = label_of(cell)
            self._findings.read(cell.strip(" "), label)
            if len(self._spellings) < _KEPT_SPELLINGS:
                self._spellings[cell] = label
        return label

    def note(self, row: Row) -> int:
        """Return line and label of a row as one number."""
        return row.line << _LABEL_BITS | self._numbers.setdefault(row.label, len(self._numbers))

    def repeated(self, row: Row | UnusableRow, first: int) -> UnusableRow:
        """Return the row that names a file again: a duplicate, or a contradiction if the labels differ."""
        line, number = first >> _LABEL_BITS, first & (1 << _LABEL_BITS) - 1
        label = row.label
        if self._numbers[label] == number:
            return UnusableRow(row.line, row.uri, ReasonCode.DUPLICATE_PATH, "the csv lists it before")
        said = next(name for name, at in self._numbers.items() if at == number)
        detail = f"line {line} says {said}, line {row.line} says {label}; line {line} is used, correct one of them"
        return UnusableRow(row.line, row.uri, ReasonCode.CONTRADICTING_LABELS, detail)


@dataclass(frozen=True)
class LabelledCsv:
    """Recordings listed in a csv, with paths below the root.

    is_trusted: do not check that the files exist.  is_labelled: False if only paths are read.
    """

    name: str
    root: Path | Bucket
    notes: tuple[str, ...]
    table: CsvTable
    columns: Columns
    place: CsvPlace
    is_trusted: bool = False
    is_labelled: bool = True
    findings: Findings = field(default_factory=Findings, compare=False)

    @property
    def has_metadata(self) -> bool:
        """Whether the csv has columns for place or time."""
        return self.columns.metadata is not None

    def rows(self) -> Iterator[Row | UnusableRow]:
        """Yield rows in the csv's order; a second row with the same path is unusable."""
        self.findings.clear()
        labels = _Labels(self.findings)
        parsed, uris = self._parsed(labels), DigestSet()
        n_rows = 0
        while batch := list(islice(parsed, _ROWS_AT_ONCE)):
            good = [row for row in batch if isinstance(row, Row)]
            n_rows += len(good)
            earlier = iter(uris.add([row.uri for row in good], [labels.note(row) for row in good]))
            for row in batch:
                first = next(earlier) if isinstance(row, Row) else None
                yield row if first is None else labels.repeated(row, first)
        if not self.is_trusted:
            self._count_unnamed(uris, _WALKED_FILES + _WALKED_A_ROW * n_rows)

    def _count_unnamed(self, uris: DigestSet, most_files: int) -> None:
        self.findings.n_unnamed = 0
        walked = walk(self.root, "")
        found = (pair for pair in islice(walked, most_files) if pair[1] in (*_RECORDINGS, EntryKind.OTHER))
        while batch := list(islice(found, _ROWS_AT_ONCE)):
            for (uri, kind), is_named in zip(batch, uris.contains([uri for uri, _ in batch]), strict=True):
                if not is_named and (kind in _RECORDINGS or self._begins_like_audio(uri)):
                    self.findings.name_unnamed(printable(uri))
        self.findings.is_unnamed_complete = next(walked, None) is None

    def _begins_like_audio(self, uri: str) -> bool:
        return isinstance(self.root, Path) and begins_like_audio(self.root / uri)

    def _parsed(self, labels: _Labels) -> Iterator[Row | UnusableRow]:
        files = Files(self.root)
        for line, fields in self.table.records():
            if isinstance(fields, str):
                yield UnusableRow(line, "", ReasonCode.UNREADABLE_ROW, fields)
                continue
            label = ""
            try:
                if not self.is_labelled:
                    yield Row(self._uri(fields, files), "", (), None, None, None, None, line)
                    continue
                label = labels.of(label_cell(fields, self.columns))
                yield self._row(line, fields, label, files)
            except UnusableRowError as error:
                yield UnusableRow(line, printable(fields[self.columns.path]), error.code, error.detail, label)

    def _row(self, line: int, fields: list[str], label: str, files: Files) -> Row:
        at = self.columns
        uri = self._uri(fields, files, label)
        metadata, unclear = metadata_of(fields, at.metadata) if at.metadata else (UNKNOWN, ())
        return Row(
            uri=uri,
            label=label,
            secondary=() if at.secondary is None else secondary_of(fields[at.secondary], label),
            author=None if at.author is None else name_of(fields[at.author]),
            group=None if at.group is None else name_of(fields[at.group]),
            fold=None if at.fold is None else fold_of(fields[at.fold]),
            split=None if at.split is None else split_of(fields[at.split]),
            line=line,
            metadata=metadata,
            unclear=unclear,
        )

    def _uri(self, fields: list[str], files: Files, label: str = "") -> str:
        at = self.columns
        if not fields[at.path].strip():
            raise UnusableRowError(ReasonCode.EMPTY_PATH)
        written = self.place.path_below_root(fields, at, label or label_cell(fields, at))
        return files.named(written) if self.is_trusted else files.uri(written)


def labelled_csv(
    path: Path, reading: Reading, *, bucket: Bucket | None = None, notes: tuple[str, ...] = ()
) -> LabelledCsv:
    """Open the layout of one csv. The root is its folder, the folder above `meta` or `metadata`, or the bucket.

    bucket: the bucket that the csv at `path` was downloaded from.  notes: what was noticed while the csv was chosen.
    Raises: LayoutError if the file is not a table, or has no path or no label column; DoubtfulDataset if its rows
    label parts of recordings, or if a column that the user named does not exist.
    """
    table = open_table(path)
    found = columns(table.header, reading.path_column, reading.label_column, is_labelled=reading.is_labelled)
    if found is None:
        raise missing_columns(table, reading)
    if reading.is_labelled and has_times(table, found):
        raise rows_with_times(table, found)
    root = bucket or _root(path)
    place = find_place(root, table, found)
    return LabelledCsv(
        _name(path, table.header),
        root,
        (*_notes(table, found, place, reading), *notes),
        table,
        found,
        place,
        reading.is_trusted,
        reading.is_labelled,
    )


def missing_columns(table: CsvTable, reading: Reading) -> LayoutError:
    """The error for a table without the needed columns."""
    plain = set(map(plain_name, table.header))
    for option, column in (("--path-column", reading.path_column), ("--label-column", reading.label_column)):
        if column is not None and plain_name(column) not in plain:
            return DoubtfulDataset(
                f"{option} {column!r:.60}: {table.path.name} has no such column, but {', '.join(table.header)}"
            )
    if not reading.is_labelled:
        return LayoutError(
            f"{table.path.name} has the columns {', '.join(table.header)}; it needs one for the path "
            "(path, filename, file_name, …); name it with --path-column"
        )
    return LayoutError(
        f"{table.path.name} has the columns {', '.join(table.header)}; it needs one for the path "
        "(path, filename, file_name, …) and one for the label (label, class, primary_label, …); "
        "name them with --path-column and --label-column"
    )


def has_times(table: CsvTable, at: Columns) -> bool:
    """Return whether rows label parts of recordings: they have a begin and an end that are not dates."""
    if at.times is None:
        return False
    rows = islice(table.records(), _SAMPLED_ROWS)
    sample = (fields[at.times[0]].strip() for _, fields in rows if not isinstance(fields, str))
    return any(cell and not _DATE.match(cell) for cell in sample)


def rows_with_times(table: CsvTable, at: Columns) -> DoubtfulDataset:
    """The error for a table whose rows label parts of recordings."""
    begin, end = (table.header[position] for position in at.times or ())
    return DoubtfulDataset(
        f"{table.path.name} has the columns `{begin}` and `{end}`: each row labels a part of a recording, and such "
        "annotations are not supported; cut the recordings into one file for each row, or give a csv with one label "
        "for each recording; if the columns mean something else, rename them"
    )


def _root(path: Path) -> Path:
    folder = path.parent.resolve()
    return folder.parent if folder.name in METADATA_FOLDERS else folder


def _name(path: Path, header: tuple[str, ...]) -> str:
    if {"slice_file_name", "fold", "class"} <= set(header):
        return "UrbanSound8K csv"
    if {"primary_label", "filename"} <= set(header):
        return "BirdCLEF csv"
    if path.name == "metadata.csv" and "file_name" in header:
        return "Hugging Face metadata.csv"
    return "csv of paths and labels"


def _notes(table: CsvTable, at: Columns, place: CsvPlace, reading: Reading) -> Iterator[str]:
    meanings = at.by_meaning() if reading.is_labelled else {"path": at.path}
    used = {meaning: table.header[position] for meaning, position in meanings.items()}
    yield f"{table.path.name}: " + ", ".join(f"{meaning} from `{column}`" for meaning, column in used.items())
    for what, others in (("label", at.other_labels), ("path", at.other_paths)):
        if others and (reading.is_labelled or what == "path"):
            listed = ", ".join(f"`{table.header[position]}`" for position in others)
            yield f"other {what} columns, not used: {listed}; --{what}-column NAME takes another"
    if place != CsvPlace():
        yield f"recordings are in {place.pattern()}"
    if table.encoding == "cp1252":
        yield (
            f"{table.path.name} is not UTF-8 and was read as Windows-1252 (Latin-1); check its accented letters, or "
            "save it as UTF-8"
        )
