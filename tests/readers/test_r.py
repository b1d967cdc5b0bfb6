"""Our text tables, read by R's read.csv and read.delim."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.absence import absent
from tests.readers.hard_cases import HEADERS, RECORDINGS, ROWS, audacity_rows, write_all

CELLS = """
hex <- function(text) paste(charToRaw(enc2utf8(text)), collapse = "")
cells <- function(column) {
  text <- if (is.numeric(column)) format(column, digits = 17, trim = TRUE) else as.character(column)
  ifelse(is.na(column), "", vapply(text, hex, ""))
}
cat(vapply(names(table), hex, ""), sep = " ")
cat("\\n")
cat(vapply(table, function(column) if (is.numeric(column)) "number" else "text", ""), sep = " ")
cat("\\n")
if (nrow(table)) cat(do.call(paste, c(lapply(table, cells), sep = " ")), sep = "\\n")
"""
"""Prints the table as hexadecimal bytes: R would escape what it prints as text."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tables") / "full")


@pytest.fixture(scope="module")
def no_detections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tables") / "none", RECORDINGS[1:2])


def read(path: Path, call: str) -> tuple[tuple[str, ...], list[tuple]]:
    """The header and the rows that R reads; numbers as float, "" for what is missing."""
    program = shutil.which("Rscript")
    if program is None:
        absent("R", "apt-get install r-base-core")
    script = f"table <- {call}\n{CELLS}"
    done = subprocess.run(
        [program, "--vanilla", "-", str(path)], input=f"path <- commandArgs(TRUE)[1]\n{script}", text=True,
        capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    header, kinds, *lines = (line.split(" ") for line in done.stdout.removesuffix("\n").split("\n"))
    columns = tuple(map(text_of, header))
    return columns, [tuple(map(cell_of, line, kinds)) for line in lines]


def text_of(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode()


def cell_of(hexadecimal: str, kind: str) -> str | float:
    text = text_of(hexadecimal)
    return float(text) if text and kind == "number" else text


def as_r_reads(cell: str | float) -> str | float:
    """R takes a carriage return for a line feed, also between quotes."""
    return cell.replace("\r", "\n") if isinstance(cell, str) else cell


def call_for(name: str) -> str:
    if name.endswith(".txt"):
        return 'read.delim(path, quote = "", check.names = FALSE)'
    return "read.csv(path, check.names = FALSE)"


@pytest.mark.parametrize("name", ROWS)
def test_r_reads_every_cell_of_a_text_table(tables: Path, name: str) -> None:
    header, rows = read(tables / name, call_for(name))
    assert header == HEADERS[name]
    assert rows == [tuple(map(as_r_reads, row)) for row in ROWS[name]]


def test_r_reads_audacity_labels(tables: Path) -> None:
    _, rows = read(tables / "detections.labels.txt", 'read.delim(path, header = FALSE, quote = "")')
    assert rows == audacity_rows()


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("quarantine.csv", "thresholds.csv")])
def test_r_reads_the_header_of_a_table_without_detections(no_detections: Path, name: str) -> None:
    assert read(no_detections / name, call_for(name)) == (HEADERS[name], [])
