"""Tables that are being written: one text or Parquet file each, as a stream."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.detections.detection import Detection
from tasks.detections.formats import COLUMNS, TEXT_FORMATS, TablePlace, TextFormat, Wording, csv_rows
from tasks.detections.origin import Origin
from tasks.detections.score_file import ScoredRecording, utf8

_BATCH = 65_536
"""Detections in a row group of Parquet."""
_TYPES = {"start_s": pa.float64(), "end_s": pa.float64(), "score": pa.float32()}
_SCHEMA = pa.schema([pa.field(name, _TYPES.get(name, pa.string())) for name in COLUMNS])
PARQUET_COMBINED, PARQUET_ENDING = "detections.parquet", ".parquet"


class OpenTable(Protocol):
    """A table that takes the detections of one recording after another."""

    def add(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin, clock_s: float) -> None:
        """Append rows. clock_s: sum of the durations of the recordings before."""

    def close(self) -> None:
        """Complete the file."""


def open_table(folder: Path, format_: str, wording: Wording, name: str | None = None) -> OpenTable:
    """Create a table in the folder, with its header.

    name: the recording of the table, without an ending; None for the combined table.  Raises: OSError; FileExistsError
    if the file exists.
    """
    form = TEXT_FORMATS.get(format_)
    combined, ending = (form.combined, form.ending) if form else (PARQUET_COMBINED, PARQUET_ENDING)
    path = folder / (combined if name is None else f"{name}{ending}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return TextTable(path, form, wording) if form else ParquetTable(path, wording)


class TextTable:
    """A table of text, UTF-8 with line feeds."""

    def __init__(self, path: Path, form: TextFormat, wording: Wording) -> None:
        self._form, self._wording, self._n = form, wording, 0
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="")
        if form.is_tab_separated:  # the fields hold no tabs and line ends, and quotes are characters like any other
            self._writer = csv.writer(
                self._file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
            )
        else:
            self._writer = csv.writer(self._file, lineterminator="\n")
        if form.header:
            self._writer.writerow(form.header)

    def add(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin, clock_s: float) -> None:
        """Append rows. clock_s: as `OpenTable.add`."""
        rows = self._form.rows(self._wording, recording, detections, TablePlace(clock_s, self._n, origin))
        self._n += len(detections)
        if self._form.is_tab_separated or "\r" not in f"{recording.path}{recording.uri}{origin.site}":
            self._writer.writerows(rows)
        else:  # Python before 3.13 does not quote a lone carriage return
            csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


class ParquetTable:
    """A Parquet file with the columns of the csv."""

    def __init__(self, path: Path, wording: Wording) -> None:
        self._wording = wording
        self._rows: list[tuple[Any, ...]] = []
        self._file = path.open("xb")
        self._writer = pq.ParquetWriter(
            self._file,
            _SCHEMA,
            version="2.6",
            data_page_version="1.0",
            compression="zstd",
            write_statistics=False,
            store_schema=True,
        )

    def add(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin, clock_s: float) -> None:  # noqa: ARG002
        """Append rows. clock_s: not used."""
        self._rows.extend(csv_rows(self._wording, recording, detections, TablePlace(origin=origin)))
        if len(self._rows) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write the last rows and complete the file."""
        if self._rows:
            self._write()
        self._writer.close()
        self._file.close()

    def _write(self) -> None:
        columns = [
            pa.array([_cell(value) for value in column], type_)
            for column, type_ in zip(zip(*self._rows, strict=True), _SCHEMA.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), row_group_size=len(self._rows))
        self._rows = []


def _cell(value: Any) -> Any:
    """Return null for an unknown text, and text that Parquet can hold."""
    return (utf8(value) or None) if isinstance(value, str) else value
