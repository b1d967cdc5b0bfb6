"""A csv as people save it: any of four separators, UTF-8 with or without a mark, UTF-16 or Latin-1, broken lines."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tasks.dataset.layouts.layout import LayoutError, printable

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})

_SEPARATORS = ",;\t|"
_BLOCK_BYTES = 1 << 20

# csv refuses longer fields; a line is read in pieces of this size, so that a file without line ends fits in memory.
_LONGEST_LINE = 1 << 18


@dataclass(frozen=True)
class Table:
    """A csv file whose encoding, separator and header are known; the header's names are fit to be shown."""

    path: Path
    encoding: str
    separator: str
    header: tuple[str, ...]

    def records(self) -> Iterator[tuple[int, list[str] | str]]:
        """Pairs of (line the record begins on, its fields), the header left out; a text instead says what is wrong.

        Blank lines are skipped. Fields missing at the end, or more than the header has, make the record unreadable:
        an unquoted separator has shifted them.
        """
        with self.path.open(encoding=self.encoding, errors="replace", newline="") as handle:
            reader = csv.reader(_lines(handle), delimiter=self.separator, strict=True)
            line = 1
            while True:
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield line, str(error)
                else:
                    if line > 1 and any(fields):
                        yield line, self._checked(fields)
                line = reader.line_num + 1

    def _checked(self, fields: list[str]) -> list[str] | str:
        width = len(self.header)
        if len(fields) == width:
            return fields
        if len(fields) > width and not any(fields[width:]):
            return fields[:width]
        return f"{len(fields)} fields where the header has {width}"


def open_table(path: Path) -> Table:
    """The table in a file: its encoding found by reading all of it, its separator by the header.

    Raises LayoutError for a file that is empty, cannot be opened, or has no readable header.
    """
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, errors="replace", newline="") as handle:
            first = handle.readline(_LONGEST_LINE)
    except OSError as error:
        raise LayoutError(f"{path.name} cannot be opened: {error.strerror}") from error
    if not first.strip():
        raise LayoutError(f"{path.name} has no header: its first line is empty; name the columns there")
    separator = max(_SEPARATORS, key=first.count)
    try:
        header = next(csv.reader([first], delimiter=separator))
    except csv.Error as error:
        raise LayoutError(f"{path.name} has no readable header: {error}") from error
    return Table(path, encoding, separator, tuple(printable(" ".join(name.split())) for name in header))


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as handle:
        block = handle.read(_BLOCK_BYTES)
        if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        try:
            while block:
                decoder.decode(block)
                block = handle.read(_BLOCK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def _lines(handle: TextIO) -> Iterator[str]:
    while line := handle.readline(_LONGEST_LINE):
        yield line
