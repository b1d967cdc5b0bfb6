"""Our tables, read by pandas and pyarrow."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.readers.hard_cases import DETECTIONS, HEADERS, RECORDINGS, ROWS, audacity_rows, csv_rows, write_all


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tables") / "full")


@pytest.fixture(scope="module")
def no_detections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tables") / "none", RECORDINGS[1:2])


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE) if path.suffix == ".txt" else pd.read_csv(path)


def rows(table: pd.DataFrame) -> list[tuple]:
    """The rows, with "" for what is missing."""
    return [tuple("" if pd.isna(cell) else cell for cell in row) for row in table.itertuples(index=False, name=None)]


@pytest.mark.parametrize("name", ROWS)
def test_pandas_reads_every_cell_of_a_text_table(tables: Path, name: str) -> None:
    table = read(tables / name)
    assert tuple(table.columns) == HEADERS[name]
    assert rows(table) == ROWS[name]


def test_pandas_reads_times_and_scores_as_numbers_and_the_start_of_the_recording_as_a_time(tables: Path) -> None:
    table = pd.read_csv(tables / "detections.csv", parse_dates=["recorded_at_utc"])
    assert [table[name].dtype for name in ("start_s", "end_s", "score")] == [np.float64] * 3
    assert table["recorded_at_utc"][0] == pd.Timestamp("2026-05-01T04:30", tz="UTC")


def test_pandas_reads_audacity_labels(tables: Path) -> None:
    table = pd.read_csv(tables / "detections.labels.txt", sep="\t", quoting=csv.QUOTE_NONE, header=None)
    assert rows(table) == audacity_rows()


def test_pandas_and_pyarrow_read_the_parquet_table(tables: Path) -> None:
    expected = [tuple(cell if cell != "" else None for cell in row) for row in csv_rows()]
    expected = [(*row[:6], float(np.float32(row[6])), *row[7:]) for row in expected]
    arrow = pq.read_table(tables / "detections.parquet")
    assert list(zip(*arrow.to_pydict().values(), strict=True)) == expected
    assert [arrow.schema.field(name).type for name in ("start_s", "score", "label")] == [
        pa.float64(), pa.float32(), pa.string(),
    ]  # fmt: skip
    frame = pd.read_parquet(tables / "detections.parquet")
    assert rows(frame) == [tuple("" if cell is None else cell for cell in row) for row in expected]


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("quarantine.csv", "thresholds.csv")])
def test_pandas_reads_the_header_of_a_table_without_detections(no_detections: Path, name: str) -> None:
    table = read(no_detections / name)
    assert (tuple(table.columns), len(table)) == (HEADERS[name], 0)


def test_pyarrow_reads_the_types_of_a_parquet_table_without_detections(tables: Path, no_detections: Path) -> None:
    table = pq.read_table(no_detections / "detections.parquet")
    assert table.num_rows == 0
    assert table.schema == pq.read_schema(tables / "detections.parquet")


def test_pandas_reads_a_table_for_each_recording_that_was_analysed(tables: Path) -> None:
    found = [read(path) for path in sorted((tables / "per_recording" / "csv").rglob("*.csv"))]
    assert len(found) == len(RECORDINGS) - 2
    together = sorted(row for table in found for row in rows(table))
    assert together == sorted(csv_rows())


def test_pyarrow_reads_the_scores_of_every_window(tables: Path) -> None:
    table = pq.read_table(tables / "scores.parquet", columns=["uri", "start_s", "scores"])
    found = {(uri, start_s): scores for uri, start_s, scores in zip(*table.to_pydict().values(), strict=True)}
    assert len(found) == table.num_rows == 7 + 3
    assert found["silent.wav", None] is None
    assert found["a.wav", 5.0] == [float(np.float32(value)) for value in (0.1, 0.1, 0, 0.8)]
    assert all(float(np.float32(each.score)) in found[each.uri, each.start_s] for each in DETECTIONS)
