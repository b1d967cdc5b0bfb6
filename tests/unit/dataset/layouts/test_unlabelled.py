"""Recordings without labels: a recording, a folder, a csv of paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.dataset.layouts import LayoutError, Row, UnusableRow
from tasks.dataset.layouts.layout import LayoutNotFound
from tasks.dataset.layouts.unlabelled import open_recordings


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF0000WAVE")


def uris(path: Path, **how: object) -> list[str]:
    rows = list(open_recordings(path, **how).rows())  # type: ignore[arg-type]
    assert all(row.label == "" for row in rows)
    return [row.uri for row in rows if isinstance(row, Row)]


def test_a_folder_gives_all_recordings_below_it_by_name_and_counts_other_files(tmp_path: Path) -> None:
    put(tmp_path, "z.wav", "train/b/c.FLAC", "noise/a.ogg", "unnamed", ".hidden/d.wav")
    (tmp_path / "notes.txt").write_text("no recording")
    layout = open_recordings(tmp_path)
    assert [row.uri for row in layout.rows()] == ["noise/a.ogg", "train/b/c.FLAC", "unnamed", "z.wav"]
    assert layout.findings.left_out == {".txt": 1}
    assert layout.findings.lines()[-1] == "1 file left out, no recordings: 1 x .txt (notes.txt)"


def test_a_recording_alone_is_the_only_one_of_its_folder(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "b.wav")
    assert uris(tmp_path / "a.wav") == ["a.wav"]


def test_a_csv_needs_only_a_path_column_and_its_labels_and_times_are_not_read(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", "deep/b.wav")
    (tmp_path / "plain.csv").write_text("file\na.wav\ndeep/b.wav\nmissing.wav\na.wav\n")
    rows = list(open_recordings(tmp_path / "plain.csv").rows())
    assert [row.uri for row in rows if isinstance(row, Row)] == ["a.wav", "deep/b.wav"]
    assert [row.reason for row in rows if isinstance(row, UnusableRow)] == [
        "missing file", "duplicate path: the csv lists it before"
    ]  # fmt: skip
    (tmp_path / "timed.csv").write_text("path,label,start,end\na.wav,,0,5\n")
    assert uris(tmp_path / "timed.csv") == ["a.wav"]
    assert uris(tmp_path / "plain.csv", is_trusted=True) == ["a.wav", "deep/b.wav", "missing.wav"]


def test_what_holds_no_recordings_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(LayoutNotFound, match="does not exist; give a recording, a folder of recordings, or a csv"):
        open_recordings(tmp_path / "none")
    (tmp_path / "a.csv").write_text("species,count\nwren,3\n")
    with pytest.raises(LayoutError, match=r"it needs one for the path .*; name it with --path-column"):
        open_recordings(tmp_path / "a.csv")
    with pytest.raises(LayoutError, match="is a folder; --trust-csv needs a csv of paths"):
        open_recordings(tmp_path, is_trusted=True)


def test_no_cell_but_the_path_decides_and_paths_may_lie_in_folders_of_labels(tmp_path: Path) -> None:
    put(tmp_path, "abc/XC1.ogg", "abc/XC2.ogg")
    table = "filename,primary_label,split,fold,author\nXC1.ogg,abc,unlabelled,A,x\nXC2.ogg,abc,,," + "y" * 2000 + "\n"
    (tmp_path / "rows.csv").write_text(table)
    assert uris(tmp_path / "rows.csv") == ["abc/XC1.ogg", "abc/XC2.ogg"]
    assert open_recordings(tmp_path / "rows.csv").notes == (
        "rows.csv: path from `filename`", "recordings are in <label>/<path>"
    )  # fmt: skip
