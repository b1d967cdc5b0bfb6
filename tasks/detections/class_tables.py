"""Tables that a user brings: thresholds of classes, and names of classes."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from domain.errors import UsageError
from domain.printable import printable
from tasks.dataset.layouts.layout import UnusableRowError, label_of


class TableError(UsageError):
    """A table of thresholds or names cannot be used."""


class SpeciesNames(NamedTuple):
    """Names of one class; "" for an unknown one. code: such as eBird's."""

    scientific_name: str = ""
    common_name: str = ""
    code: str = ""


def thresholds_from_file(path: Path, labels: Sequence[str]) -> dict[str, float]:
    """Return the thresholds of a csv with the columns `label` (or `class`) and `threshold`; it need not name all.

    Raises: TableError, with the line, for a class that is not among the labels or is named twice, and for a threshold
    that is not a number from 0 to 1; OSError.
    """
    thresholds: dict[str, float] = {}
    known = frozenset(labels)
    for line, label, cells in _rows(path, needed=("threshold",)):
        if label not in known:
            raise TableError(f"{path.name}, line {line}: the model has no class {printable(label)!r:.200}")
        if label in thresholds:
            raise TableError(f"{path.name}, line {line}: a second threshold of {printable(label)!r:.200}; keep one")
        thresholds[label] = _share(cells["threshold"], f"{path.name}, line {line}")
    return thresholds


def names_from_file(path: Path) -> dict[str, SpeciesNames]:
    """Return the names by label of a csv with `label` and any of `scientific_name`, `common_name` and `code`.

    Raises: TableError, with the line, for a label that is empty or named twice; OSError.
    """
    names: dict[str, SpeciesNames] = {}
    for line, label, cells in _rows(path, needed=()):
        if label in names:
            raise TableError(f"{path.name}, line {line}: a second row of {printable(label)!r:.200}; keep one")
        names[label] = SpeciesNames(*(" ".join(cells.get(name, "").split()) for name in SpeciesNames._fields))
    return names


def _share(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise TableError(f"{place}: the threshold is {printable(cell)!r:.40}; it must be a number from 0 to 1")
    return value


def _rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield line, label and cells by column of each row that is not empty. Columns are found in any case."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip().casefold() for cell in next(reader, [])]
            label_at = _label_column(path, header, needed)
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    raise TableError(
                        f"{path.name}, line {reader.line_num}: {len(row)} cells where the header has {len(header)}"
                    )
                cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
                yield reader.line_num, _label(row[label_at], f"{path.name}, line {reader.line_num}"), cells
    except csv.Error as error:
        raise TableError(f"{path.name}, line {reader.line_num}: {error}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path.name} is not UTF-8 text: {error}; save it as UTF-8") from error


def _label_column(path: Path, header: Sequence[str], needed: Sequence[str]) -> int:
    found = [name for name in ("label", "class") if name in header]
    missing = [name for name in needed if name not in header] if found else ["label", *needed]
    if missing:
        raise TableError(
            f"{path.name}, line 1: no column {' or '.join(missing)} among {printable(', '.join(header)):.200}"
        )
    if twice := next((name for name in header if name and header.count(name) > 1), None):
        raise TableError(f"{path.name}, line 1: two columns {printable(twice)!r:.60}; keep one")
    return header.index(found[0])


def _label(cell: str, place: str) -> str:
    try:
        return label_of(cell)
    except UnusableRowError as error:
        raise TableError(f"{place}: {error}") from error
