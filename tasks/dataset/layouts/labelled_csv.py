"""The layout of a csv with a path and a label column: BirdCLEF, Hugging Face, ESC-50, or a user's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

from domain.reasons import ReasonCode
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts.columns import Columns, columns, fold_of, name_of, secondary_of, split_of
from tasks.dataset.layouts.digest_set import DigestSet
from tasks.dataset.layouts.files import Files, is_junk_name
from tasks.dataset.layouts.layout import BadRow, BadRowError, LayoutError, Row, label_of, printable
from tasks.dataset.layouts.place_and_time import metadata_of
from tasks.dataset.layouts.table import Table, open_table
from tasks.dataset.shards.metadata import UNKNOWN

# A csv in a folder of this name describes the folder above, as in ESC-50 and UrbanSound8K.
METADATA_FOLDERS = ("meta", "metadata")

_ROWS_AT_ONCE = 1000
_SAMPLED_ROWS = 500
_SAMPLED_OBJECTS = 50  # fewer, because each may need a request to the store
_MOST_FOLDERS = 64


@dataclass(frozen=True)
class _Place:
    """The folder that a csv's paths are relative to. by_label: each label has a folder of its own there."""

    folder: str = ""
    by_label: bool = False

    def path_below_root(self, path: str, label: str) -> str:
        if path.startswith("/"):
            return path
        parts = (self.folder, label if self.by_label else "", path)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True)
class LabelledCsv:
    """Recordings listed in a csv, with paths below the root.

    is_trusted: do not check that the files exist.
    """

    name: str
    root: Path | Bucket
    notes: tuple[str, ...]
    table: Table
    columns: Columns
    place: _Place
    is_trusted: bool = False

    @property
    def has_metadata(self) -> bool:
        """Whether the csv has columns for place or time."""
        return self.columns.metadata is not None

    def rows(self) -> Iterator[Row | BadRow]:
        """Yield rows in the csv's order; the second row with the same path is a bad row."""
        parsed, uris = self._parsed(), DigestSet()
        while batch := list(islice(parsed, _ROWS_AT_ONCE)):
            is_new = iter(uris.add([row.uri for row in batch if isinstance(row, Row)]))
            for row in batch:
                is_duplicate = isinstance(row, Row) and not next(is_new)
                yield _duplicate(row) if is_duplicate else row

    def _parsed(self) -> Iterator[Row | BadRow]:
        files = Files(self.root)
        for line, fields in self.table.records():
            if isinstance(fields, str):
                yield BadRow(line, "", ReasonCode.UNREADABLE_ROW, fields)
                continue
            try:
                yield self._row(line, fields, files)
            except BadRowError as error:
                yield BadRow(line, printable(fields[self.columns.path]), error.code, error.detail)

    def _row(self, line: int, fields: list[str], files: Files) -> Row:
        at = self.columns
        label = label_of(fields[at.label])
        path = fields[at.path].strip()
        if not path:
            raise BadRowError(ReasonCode.EMPTY_PATH)
        written = self.place.path_below_root(path, label)
        metadata, unclear = metadata_of(fields, at.metadata) if at.metadata else (UNKNOWN, ())
        return Row(
            uri=files.named(written) if self.is_trusted else files.uri(written),
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


def _duplicate(row: Row | BadRow) -> BadRow:
    return BadRow(row.line, row.uri, ReasonCode.DUPLICATE_PATH, "the csv lists it before")


def labelled_csv(path: Path, *, is_trusted: bool = False, bucket: Bucket | None = None) -> LabelledCsv:
    """Open the layout of one csv. The root is its folder, the folder above `meta` or `metadata`, or the bucket.

    is_trusted: do not check that the files exist.  bucket: the bucket that the csv at `path` was downloaded from.
    Raises: LayoutError if the file is not a table, or has no path or no label column.
    """
    table = open_table(path)
    found = columns(table.header)
    if found is None:
        raise LayoutError(
            f"{path.name} has the columns {', '.join(table.header)}; it needs one for the path "
            "(path, filename, file_name, …) and one for the label (label, class, primary_label, …)"
        )
    root = bucket or _root(path)
    place = _place(root, table, found)
    return LabelledCsv(
        _name(path, table.header), root, tuple(_notes(table, found, place)), table, found, place, is_trusted
    )


def _root(path: Path) -> Path:
    folder = path.parent.resolve()
    return folder.parent if folder.name in METADATA_FOLDERS else folder


def _name(path: Path, header: tuple[str, ...]) -> str:
    if {"primary_label", "filename"} <= set(header):
        return "BirdCLEF csv"
    if path.name == "metadata.csv" and "file_name" in header:
        return "Hugging Face metadata.csv"
    return "csv of paths and labels"


def _notes(table: Table, at: Columns, place: _Place) -> Iterator[str]:
    used = {meaning: table.header[position] for meaning, position in at.by_meaning().items()}
    yield f"{table.path.name}: " + ", ".join(f"{meaning} from `{column}`" for meaning, column in used.items())
    if place.folder or place.by_label:
        yield f"recordings are in {place.path_below_root('<path>', '<label>')}"
    if table.encoding == "latin-1":
        yield f"{table.path.name} is not UTF-8 and was read as Latin-1; check its accented letters, or save it as UTF-8"


def _place(root: Path | Bucket, table: Table, at: Columns) -> _Place:
    """Return the place at which most of the first rows have their files; the root itself if no place has any."""
    sample = [
        (fields[at.path].strip(), fields[at.label].strip())
        for _, fields in islice(table.records(), _SAMPLED_OBJECTS if isinstance(root, Bucket) else _SAMPLED_ROWS)
        if not isinstance(fields, str)
    ]
    files = Files(root)
    best, most = _Place(), 0
    for folder, by_label in product(["", *_folders(root)], [False, True]):
        place = _Place(folder, by_label)
        hits = sum(_exists(files, place.path_below_root(path, label)) for path, label in sample)
        if hits > most:
            best, most = place, hits
        if most == len(sample):
            break
    return best


def _folders(root: Path | Bucket) -> list[str]:
    if isinstance(root, Bucket):
        return [name for name in root.entries("")[0] if not is_junk_name(name)][:_MOST_FOLDERS]
    found = (entry.name for entry in root.iterdir() if not is_junk_name(entry.name) and entry.is_dir())
    return sorted(found)[:_MOST_FOLDERS]


def _exists(files: Files, written: str) -> bool:
    try:
        return bool(files.uri(written))
    except BadRowError:
        return False
