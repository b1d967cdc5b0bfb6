"""Reads csv files with any of four separators, in UTF-8, UTF-16 or Windows-1252, and with damaged rows."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tasks.dataset.layouts.layout import LayoutError, printable

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab", ".txt"})

_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*\s*', re.IGNORECASE)
_BLOCK_BYTES = 1 << 20

# Bounds memory for files without line ends: longer lines are read in pieces. The csv module refuses longer fields.
_LONGEST_LINE = 1 << 18


@dataclass(frozen=True)
class CsvTable:
    """A csv file with its encoding, separator and header. The header's names are printable.

    header_line: 2 if the first line is `sep=;`, as Excel reads and writes it; else 1.
    """

    path: Path
    encoding: str
    separator: str
    header: tuple[str, ...]
    header_line: int = 1

    def records(self) -> Iterator[tuple[int, list[str] | str]]:
        """Yield pairs of (line number, fields) for every record after the header.

        line: where the record begins, from 1.  fields: a list as long as the header; or a text, the reason why the
        record is unreadable.
        Blank lines are skipped. A record with too few or too many fields is unreadable, because an unquoted separator
        may have shifted its fields.
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
                    if line > self.header_line and any(fields):
                        yield line, self._checked(fields)
                line = reader.line_num + 1

    def _checked(self, fields: list[str]) -> list[str] | str:
        width = len(self.header)
        if len(fields) == width:
            return fields
        if len(fields) > width and not any(fields[width:]):
            return fields[:width]
        return f"{len(fields)} fields where the header has {width}"


def open_table(path: Path) -> CsvTable:
    """Open a csv file: detect its encoding from the whole file, and its separator from the header.

    Raises: LayoutError if the file is empty, cannot be opened, or has no readable header.
    """
    try:
        encoding = _encoding(path)
        with path.open(encoding=encoding, errors="replace", newline="") as handle:
            first = handle.readline(_LONGEST_LINE)
            declared = _SEPARATOR_LINE.fullmatch(first)
            first = handle.readline(_LONGEST_LINE) if declared else first
    except OSError as error:
        raise LayoutError(f"{path.name} cannot be opened: {error.strerror}") from error
    if not first.strip():
        raise LayoutError(f"{path.name} has no header: its first line is empty; put the column names there")
    separator = declared[1] if declared else max(_SEPARATORS, key=first.count)
    try:
        header = next(csv.reader([first], delimiter=separator))
    except csv.Error as error:
        raise LayoutError(f"{path.name} has no readable header: {error}") from error
    names = tuple(printable(" ".join(name.split())) for name in header)
    return CsvTable(path, encoding, separator, names, header_line=2 if declared else 1)


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
            return "cp1252"  # as Latin-1, with typographic quotes and more letters where that has control characters
    return "utf-8-sig"


def _lines(handle: TextIO) -> Iterator[str]:
    while line := handle.readline(_LONGEST_LINE):
        yield line
