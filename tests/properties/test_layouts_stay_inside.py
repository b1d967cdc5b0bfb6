"""Whatever a csv says: every row it gives is a file below the root, and every line is answered once."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.layouts import Row, UnusableRow, open_layout

parts = st.sampled_from(
    ["a.wav", "b.wav", "sub", "..", ".", "", "out", "out.wav", "in.wav", "secret.wav", "\\", "..\\", "~", "\0", "data"]
)
paths = st.one_of(
    st.lists(parts, max_size=5).map("/".join),
    st.lists(parts, max_size=4).map(lambda found: "/" + "/".join(found)),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        (root / "sub").mkdir(parents=True)
        for name in ("a.wav", "sub/b.wav", "../secret.wav"):
            (root / name).write_bytes(b"RIFF")
        (root / "out").symlink_to(folder)
        (root / "out.wav").symlink_to(root / "../secret.wav")
        (root / "in.wav").symlink_to(root / "a.wav")
        yield root


@given(st.lists(st.tuples(paths, st.text(max_size=10), st.text(max_size=5)), max_size=8))
def test_no_row_leads_outside_the_root(root: Path, rows: list[tuple[str, str, str]]):
    with (root / "labels.csv").open("w", encoding="utf-8", errors="replace", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label", "fold"])
        writer.writerows(rows)
    found = list(open_layout(root).rows())
    for row in found:
        if isinstance(row, Row):
            assert (root / row.uri).resolve().is_relative_to(root.resolve())
            assert (root / row.uri).is_file()
            assert row.label.strip()
    uris = [row.uri for row in found if isinstance(row, Row)]
    assert len(uris) == len(set(uris))
    assert len({row.line for row in found}) == len(found)
    assert len(found) <= len(rows)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_header_are_rows_or_bad_rows(root: Path, junk: bytes):
    (root / "labels.csv").write_bytes(b"path,label\n" + junk + b"\n")
    lines = [row.line for row in open_layout(root).rows() if isinstance(row, Row | UnusableRow)]
    assert lines == sorted(lines)
