"""Every row of a csv becomes a row, or a bad row with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.reasons import ReasonCode
from tasks.dataset.layouts import LayoutError, Row, UnusableRow, open_layout
from tasks.dataset.shards.metadata import UNKNOWN, Metadata


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("a.wav", "b.wav", "c d.wav", "sub/e.wav"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF")
    (tmp_path / "outside.wav").write_bytes(b"RIFF")
    return root


def read(root: Path, text: str | bytes) -> list[Row | UnusableRow]:
    raw = text.encode() if isinstance(text, str) else text
    (root / "labels.csv").write_bytes(raw)
    return list(open_layout(root).rows())


def only(root: Path, text: str | bytes) -> Row | UnusableRow:
    (row,) = read(root, text)
    return row


def test_a_row_has_the_values_of_every_known_column(root: Path):
    text = "path,label,secondary_labels,author,group,fold,split\nc d.wav,wren,\"['robin']\",Ann Lee,site 1,3,dev\n"
    assert only(root, text) == Row("c d.wav", "wren", ("robin",), "Ann Lee", "site 1", 3, "valid", 2)


def test_a_row_has_place_and_time_and_keeps_the_text_of_unclear_cells(root: Path):
    text = "path,label,Lat,Decimal Longitude,event-date,time\na.wav,wren,52.5,13.4,2021-05-30,6:15 am\n"
    found = only(root, text)
    assert isinstance(found, Row)
    assert found.metadata == Metadata(52.5, 13.4, 5, 6.25)
    bad = only(root, "path,label,lat,lon,month\na.wav,wren,999,13.4,13\n")
    assert isinstance(bad, Row)
    assert (bad.metadata, bad.unclear) == (UNKNOWN, ("latitude '999'", "month '13'"))


def test_a_layout_has_metadata_only_with_a_column_for_place_or_time(root: Path):
    (root / "labels.csv").write_text("path,label,month\na.wav,wren,5\n")
    assert open_layout(root).has_metadata
    assert "month from `month`" in open_layout(root).notes[0]
    (root / "labels.csv").write_text("path,label\na.wav,wren\n")
    assert not open_layout(root).has_metadata


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        ("gone.wav,wren,1,train", "not_found", "missing file"),
        ("sub,wren,1,train", "not_found", "missing file"),
        ("../outside.wav,wren,1,train", "outside_dataset", "outside the dataset folder: '..' in the path"),
        ("sub/../../outside.wav,wren,1,train", "outside_dataset", "outside the dataset folder: '..' in the path"),
        ("sub\\..\\..\\outside.wav,wren,1,train", "outside_dataset", "outside the dataset folder: '..' in the path"),
        ("/etc/passwd,wren,1,train", "outside_dataset", "outside the dataset folder: absolute path"),
        ("C:\\clips\\a.wav,wren,1,train", "outside_dataset", "outside the dataset folder: absolute path"),
        (",wren,1,train", "empty_path", "empty path"),
        ("a.wav,  ,1,train", "empty_label", "empty label"),
        ("a.wav,wren,one,train", "bad_fold", "fold is not a number: 'one'"),
        ("a.wav,wren,-1,train", "bad_fold", "fold is not a number: '-1'"),
        ("a.wav,wren,1,holdback", "bad_split", "unknown split word: 'holdback'; use train, valid or test"),
        ("a.wav,wren,1", "unreadable_row", "unreadable row: 3 fields where the header has 4"),
        ("a.wav,wren,1,train,extra", "unreadable_row", "unreadable row: 5 fields where the header has 4"),
        ("a\0.wav,wren,1,train", "unreadable_path", "unreadable path: it contains a NUL character"),
        ("a.wav," + "w" * 300 + ",1,train", "label_too_long", "label too long: 300 characters; the limit is 200"),
        ('"a.wav"x,wren,1,train', "unreadable_row", "unreadable row: ',' expected after '\"'"),
    ],
)
def test_a_bad_row_has_a_reason_and_the_next_row_is_read(root: Path, row: str, code: str, reason: str):
    bad, neighbour = read(root, f"path,label,fold,split\n{row}\nb.wav,wren,1,train\n")
    assert isinstance(bad, UnusableRow)
    assert (bad.line, bad.code, bad.reason) == (2, code, reason)
    assert isinstance(neighbour, Row)
    assert (neighbour.line, neighbour.uri) == (3, "b.wav")


def test_a_link_out_of_the_dataset_is_refused(root: Path):
    (root / "link.wav").symlink_to(root.parent / "outside.wav")
    (root / "folder").symlink_to(root.parent)
    rows = read(root, "path,label\nlink.wav,wren\nfolder/outside.wav,wren\n")
    assert [getattr(row, "reason", None) for row in rows] == ["outside the dataset folder: a link leads out of it"] * 2


def test_the_second_row_with_the_same_path_is_a_duplicate(root: Path):
    first, second, third = read(root, "path,label\na.wav,wren\na.wav,wren\n./a.wav,wren\n")
    assert isinstance(first, Row)
    assert second == UnusableRow(3, "a.wav", ReasonCode.DUPLICATE_PATH, "the csv lists it before")
    assert third == UnusableRow(4, "a.wav", ReasonCode.DUPLICATE_PATH, "the csv lists it before")


def test_the_second_row_with_the_same_path_and_another_label_is_a_contradiction_that_names_both(root: Path):
    rows = read(root, "path,label\na.wav,wren\nb.wav,owl\n./a.wav,robin\nb.wav,owl\n")
    assert rows[2] == UnusableRow(
        4,
        "a.wav",
        ReasonCode.CONTRADICTING_LABELS,
        "line 2 says wren, line 4 says robin; line 2 is used, correct one of them",
    )
    assert isinstance(rows[3], UnusableRow)
    assert rows[3].code == ReasonCode.DUPLICATE_PATH


def test_contradictions_are_found_among_5000_paths(root: Path):
    text = "path,label\n" + "".join(f"{n}.wav,label {n % 7}\n" for n in range(5000)) + "3000.wav,owl\n1.wav,label 1\n"
    (root / "labels.csv").write_text(text)
    bad = [row for row in open_layout(root, is_trusted=True).rows() if isinstance(row, UnusableRow)]
    assert [row.code for row in bad] == ["contradicting_labels", "duplicate_path"]
    assert bad[0].detail.startswith("line 3002 says label 4, line 5002 says owl")


def test_an_absolute_path_below_the_root_becomes_a_relative_uri(root: Path):
    row = only(root, f"path,label\n{root.resolve()}/sub/e.wav,wren\n")
    assert isinstance(row, Row)
    assert row.uri == "sub/e.wav"


def test_backslashes_separate_folders(root: Path):
    row = only(root, "path,label\nsub\\e.wav,wren\n")
    assert isinstance(row, Row)
    assert row.uri == "sub/e.wav"


def test_a_file_is_found_in_any_unicode_normalisation(root: Path):
    (root / "cafe\u0301.wav").write_bytes(b"RIFF")
    row = only(root, "path,label\ncaf\u00e9.wav,cafe\u0301\n")
    assert isinstance(row, Row)
    assert (row.uri, row.label) == ("cafe\u0301.wav", "caf\u00e9")
    assert (root / row.uri).is_file()


def test_each_part_of_a_path_is_found_in_its_own_unicode_normalisation(root: Path):
    folder, name = "\u00c9pervier", "e\u0301te\u0301.wav"  # a composed folder with a decomposed file
    for path in (f"{folder}/{name}", "Me\u0301sange/sous/\u00e0.wav"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(b"RIFF")
    text = "path,label\n\u00c9pervier/\u00e9t\u00e9.wav,E\n"
    text += "M\u00e9sange/sous/\u00e0.wav,M\nMe\u0301sange/sous/a\u0300.wav,M\n"
    first, second, third = read(root, text)
    assert (first.uri, second.uri) == (f"{folder}/{name}", "Me\u0301sange/sous/\u00e0.wav")
    assert isinstance(third, UnusableRow)
    assert third.code == ReasonCode.DUPLICATE_PATH


def test_recordings_that_no_row_names_are_counted(root: Path):
    read(root, "path,label\na.wav,wren\nsub/e.wav,robin\n")
    layout = open_layout(root)
    list(layout.rows())
    assert layout.findings.as_dict()["unnamed_recordings"] == 2
    assert layout.findings.lines() == ["2 recordings in the folder not used, no usable row names them: b.wav, c d.wav"]
    trusted = open_layout(root, is_trusted=True)
    list(trusted.rows())
    assert trusted.findings.as_dict()["unnamed_recordings"] is None


def test_the_search_for_unnamed_recordings_ends_in_a_large_folder(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tasks.dataset.layouts.labelled_csv._WALKED_FILES", 2)
    monkeypatch.setattr("tasks.dataset.layouts.labelled_csv._WALKED_A_ROW", 0)
    read(root, "path,label\nsub/e.wav,wren\n")
    layout = open_layout(root)
    list(layout.rows())
    assert layout.findings.lines() == [
        "at least 2 recordings in the folder not used, no usable row names them: a.wav, b.wav"
    ]


def test_invisible_characters_in_labels_do_not_make_classes_and_the_spellings_are_named(root: Path):
    rows = read(root, 'path,label\na.wav,Grey heron\nb.wav,Grey\u00a0heron\u200b\nc d.wav,"Grey\nheron"\n')
    assert {row.label for row in rows if isinstance(row, Row)} == {"Grey heron"}
    layout = open_layout(root)
    list(layout.rows())
    assert (
        "3 spellings read as Grey heron: Grey\\u000aheron; Grey heron; Grey\\u00a0heron\\u200b"
        in layout.findings.lines()
    )


def test_joiners_are_kept_where_they_are_part_of_a_word(root: Path):
    (row,) = read(root, "path,label\na.wav,\u0645\u06cc\u200c\u062e\u0648\n")
    assert isinstance(row, Row)
    assert row.label == "\u0645\u06cc\u200c\u062e\u0648"


def test_windows_1252_is_read_where_latin_1_has_control_characters(root: Path):
    (row,) = read(root, "path,label\na.wav,\u017dluna\u2019s\n".encode("cp1252"))
    assert isinstance(row, Row)
    assert row.label == "\u017dluna\u2019s"


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;;;"])
def test_a_first_line_may_name_the_separator(root: Path, first: str):
    (row,) = read(root, f"\ufeff{first}\r\npath;label;fold\r\na.wav;wren, winter;fold3\r\n")
    assert row == Row("a.wav", "wren, winter", (), None, None, 3, None, 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_encoding_separator_and_line_ends_do_not_change_the_rows(
    root: Path, encoding: str, separator: str, line_end: str
):
    lines = ["file name", "Class", "Author"], ["a.wav", "m\u00e9sange", "Ann"], [], ["b.wav", "wren", "unknown"]
    text = line_end.join(separator.join(line) for line in lines)
    assert read(root, text.encode(encoding)) == [
        Row("a.wav", "m\u00e9sange", (), "Ann", None, None, None, 2),
        Row("b.wav", "wren", (), None, None, None, None, 4),
    ]


def test_a_note_says_that_a_csv_was_read_as_latin_1(root: Path):
    read(root, "path,label\na.wav,m\u00e9sange\n".encode("latin-1"))
    assert any("not UTF-8" in note for note in open_layout(root).notes)


def test_an_open_quote_makes_only_the_rows_inside_it_unreadable(root: Path):
    text = 'path,label\n"a.wav,wren\n' + "x" * 200_000 + "\nb.wav,wren\n"
    rows = read(root, text)
    assert isinstance(rows[0], UnusableRow)
    assert rows[0].code == ReasonCode.UNREADABLE_ROW
    assert rows[0].detail.startswith("field larger than field limit")
    assert rows[-1] == Row("b.wav", "wren", (), None, None, None, None, 4)


def test_a_file_without_line_ends_is_read_in_pieces(root: Path):
    rows = read(root, "path,label\n" + "x" * 3_000_000)
    assert rows
    assert all(isinstance(row, UnusableRow) for row in rows)


def test_a_trusted_csv_may_list_missing_files_but_no_paths_outside_its_folder(root: Path):
    rows = [
        "gone.wav,wren",
        "sub\\e.wav,wren",
        "../outside.wav,wren",
        "/etc/passwd,wren",
        "gone.wav,wren",
        "a\x01.wav,wren",
    ]
    (root / "labels.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    found = list(open_layout(root, is_trusted=True).rows())
    assert [row.uri for row in found if isinstance(row, Row)] == ["gone.wav", "sub/e.wav"]
    codes = [row.code for row in found if isinstance(row, UnusableRow)]
    assert codes == ["outside_dataset", "outside_dataset", "duplicate_path", "unprintable_name"]


def test_class_folders_cannot_be_trusted(tmp_path: Path):
    (tmp_path / "wren").mkdir()
    (tmp_path / "wren" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(LayoutError, match="no csv with a path"):
        open_layout(tmp_path, is_trusted=True)


def test_duplicates_are_found_among_5000_paths(root: Path):
    names = [f"{number}.wav" for number in range(5000)]
    text = "path,label\n" + "".join(f"{name},wren\n" for name in [*names, names[0], names[999], names[4999]])
    (root / "labels.csv").write_text(text)
    found = list(open_layout(root, is_trusted=True).rows())
    assert [row.line for row in found if isinstance(row, UnusableRow)] == [5002, 5003, 5004]
    assert sum(isinstance(row, Row) for row in found) == 5000


def test_terminal_control_characters_in_a_header_are_escaped(root: Path):
    (root / "labels.csv").write_text("pa\x1b[31mth,label\na.wav,wren\n")
    with pytest.raises(LayoutError, match=r"pa\\x1b\[31mth, label") as caught:
        open_layout(root / "labels.csv")
    assert "\x1b" not in str(caught.value)
    (root / "labels.csv").write_text("path,label\x1b[31m,label\na.wav,wren,wren\n")
    assert "\x1b" not in "".join(open_layout(root / "labels.csv").notes)


def test_too_long_names_and_paths_are_bad_rows(root: Path):
    bad = only(root, "path,label,author\na.wav,wren," + "a" * 1001 + "\n")
    assert bad == UnusableRow(2, "a.wav", ReasonCode.NAME_TOO_LONG, "1001 characters; the limit is 1000", "wren")
    bad = only(root, "path,label\n" + "a/" * 2049 + ",wren\n")
    assert isinstance(bad, UnusableRow)
    assert bad.reason == "missing file: its path has 4098 characters"
