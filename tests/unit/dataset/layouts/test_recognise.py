"""The layout of a dataset is recognised from its path, or an error says why it is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tasks.dataset.layouts import DoubtfulDataset, LayoutError, Row, UnusableRow, open_layout
from tests.shared_data import shared_data


def put(root: Path, *names: str, content: bytes = b"RIFF") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def good(path: Path) -> list[Row]:
    rows = list(open_layout(path).rows())
    assert [row for row in rows if isinstance(row, UnusableRow)] == []
    return [row for row in rows if isinstance(row, Row)]


def test_birds10_has_a_birdclef_csv_and_a_hundred_clips():
    folder = shared_data("birds10")
    layout = open_layout(folder)
    rows = good(folder)
    assert layout.name == "BirdCLEF csv"
    assert layout.root == folder.resolve()
    assert len(rows) == 100
    assert len({row.label for row in rows}) == 10
    assert all((layout.root / row.uri).is_file() for row in rows)
    assert Counter(row.author for row in rows).most_common(1)[0][1] == 27


def test_a_csv_and_its_folder_are_the_same_dataset():
    folder = shared_data("birds10")
    assert good(folder) == good(folder / "train_metadata.csv")


def test_the_class_folders_of_birds10_have_a_hundred_clips_without_authors():
    rows = good(shared_data("birds10") / "by_class")
    assert len(rows) == 100
    assert {row.author for row in rows} == {None}
    assert {row.line for row in rows} == {0}
    assert [row.uri for row in rows] == sorted(row.uri for row in rows)


def test_esc10_has_five_folds_that_keep_source_clips_whole_and_paths_with_spaces():
    rows = good(shared_data("esc10"))
    assert len(rows) == 400
    assert {row.fold for row in rows} == {1, 2, 3, 4, 5}
    assert all(" " in row.uri and row.group for row in rows)
    folds_of_clip = {row.group: {other.fold for other in rows if other.group == row.group} for row in rows}
    assert all(len(folds) == 1 for folds in folds_of_clip.values())


def test_the_csv_of_esc50_in_the_folder_meta_finds_audio_in_the_folder_beside_it(tmp_path: Path):
    put(tmp_path, "audio/1-100032-A-0.wav")
    put(
        tmp_path,
        "meta/esc50.csv",
        content=b"filename,fold,target,category,esc10,src_file,take\n1-100032-A-0.wav,1,0,dog,True,100032,A\n",
    )
    expected = [Row("audio/1-100032-A-0.wav", "dog", (), None, "100032", 1, None, 2)]
    assert good(tmp_path) == expected
    assert good(tmp_path / "meta" / "esc50.csv") == expected


def test_a_hugging_face_dataset_is_recognised_by_its_metadata_csv(tmp_path: Path):
    put(tmp_path, "data/a.wav")
    put(tmp_path, "metadata.csv", content=b"file_name,label,split\ndata/a.wav,wren,validation\n")
    assert open_layout(tmp_path).name == "Hugging Face metadata.csv"
    assert good(tmp_path) == [Row("data/a.wav", "wren", (), None, None, None, "valid", 2)]


@pytest.mark.parametrize(
    "place", ["train_short_audio/wren/a.ogg", "train_audio/wren/a.ogg", "train_audio/a.ogg", "a.ogg"]
)
def test_birdclef_audio_is_found_in_the_folders_of_each_year(tmp_path: Path, place: str):
    put(tmp_path, place)
    put(tmp_path, "train_metadata.csv", content=b"primary_label,filename\nwren,a.ogg\n")
    assert [row.uri for row in good(tmp_path)] == [place]


def test_of_several_csv_files_the_one_with_a_known_name_is_used(tmp_path: Path):
    put(tmp_path, "a.wav")
    put(tmp_path, "old.csv", "train_metadata.csv", content=b"filename,primary_label\na.wav,wren\n")
    assert len(good(tmp_path)) == 1


def test_several_csv_files_without_a_known_name_are_refused(tmp_path: Path):
    put(tmp_path, "a.wav")
    put(tmp_path, "one.csv", "two.csv", content=b"path,label\na.wav,wren\n")
    with pytest.raises(LayoutError, match=r"one\.csv, two\.csv; give the path of one"):
        open_layout(tmp_path)


def test_a_csv_without_the_required_columns_does_not_replace_class_folders(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/b.wav")
    put(tmp_path, "weather.csv", content=b"day,rain\n1,2\n")
    assert [row.label for row in good(tmp_path)] == ["robin", "wren"]


def test_a_missing_path_is_named(tmp_path: Path):
    with pytest.raises(LayoutError, match="nowhere does not exist"):
        open_layout(tmp_path / "nowhere")


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(LayoutError, match="no recordings below"):
        open_layout(tmp_path)


def test_a_folder_without_audio_is_refused(tmp_path: Path):
    put(tmp_path, "wren/notes.md", "wren/.hidden.wav", "__MACOSX/wren/._a.wav")
    with pytest.raises(LayoutError, match="no recordings below"):
        open_layout(tmp_path)


def test_audio_without_class_folders_is_refused_with_a_remedy(tmp_path: Path):
    put(tmp_path, "a.wav", "b.wav")
    with pytest.raises(LayoutError, match="no class folders; put each class in a folder of its own, or add a csv"):
        open_layout(tmp_path)


def test_a_csv_without_a_label_column_is_refused_with_the_columns_it_has(tmp_path: Path):
    put(tmp_path, "t.csv", content=b"filename;day\na.wav;1\n")
    with pytest.raises(LayoutError, match=r"t\.csv has the columns filename, day; it needs one for the path"):
        open_layout(tmp_path)


def test_a_recording_is_not_a_dataset(tmp_path: Path):
    put(tmp_path, "a.wav")
    with pytest.raises(LayoutError, match="is a file but not a csv"):
        open_layout(tmp_path / "a.wav")


def test_urbansound8k_is_recognised_and_its_times_belong_to_the_source_clip(tmp_path: Path):
    put(tmp_path, "audio/fold1/100032-3-0-0.wav", "audio/fold10/100263-2-0-117.wav")
    head = b"slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    lines = b"100032-3-0-0.wav,100032,58.5,62.5,1,1,3,dog_bark\n100263-2-0-117.wav,100263,0,0.3,1,10,2,children\n"
    put(tmp_path, "metadata/UrbanSound8K.csv", content=head + lines)
    layout = open_layout(tmp_path)
    assert layout.name == "UrbanSound8K csv"
    assert "recordings are in audio/fold<fold>/<path>" in layout.notes
    assert good(tmp_path) == [
        Row("audio/fold1/100032-3-0-0.wav", "dog_bark", (), None, "100032", 1, None, 2),
        Row("audio/fold10/100263-2-0-117.wav", "children", (), None, "100263", 10, None, 3),
    ]


def test_recordings_in_one_folder_per_split_are_found(tmp_path: Path):
    put(tmp_path, "clips/train/a.wav", "clips/test/b.wav")
    put(tmp_path, "labels.csv", content=b"fname,label,split\na.wav,wren,train\nb.wav,wren,test\n")
    assert [row.uri for row in good(tmp_path)] == ["clips/train/a.wav", "clips/test/b.wav"]


def test_paths_without_an_ending_get_the_ending_of_the_files(tmp_path: Path):
    put(tmp_path, "wav/64.flac", "wav/65.flac")
    put(tmp_path, "labels.csv", content=b"itemid,label\n64,wren\n65,robin\n")
    assert [row.uri for row in good(tmp_path)] == ["wav/64.flac", "wav/65.flac"]
    assert "recordings are in wav/<path>.flac" in open_layout(tmp_path).notes


def test_every_table_that_is_not_used_is_named_with_the_reason(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/b.wav")
    put(tmp_path, "weather.csv", content=b"day,rain\n1,2\n")
    put(tmp_path, "meta/empty.csv", content=b"\n")
    assert open_layout(tmp_path).notes == (
        "weather.csv is not used: no columns for path and label among day, rain",
        "empty.csv is not used: empty.csv has no header: its first line is empty; put the column names there",
    )
    put(tmp_path, "labels.csv", "old.csv", content=b"path,label\nwren/a.wav,wren\n")
    assert "old.csv is not used: labels.csv is used" in open_layout(tmp_path).notes


def test_a_dataset_that_cannot_be_read_names_its_tables(tmp_path: Path):
    put(tmp_path, "audio/a.wav", "audio/b.wav")
    put(tmp_path, "one.csv", content=b"clip,kind\na.wav,wren\n")
    with pytest.raises(DoubtfulDataset, match=r"audio is the name .*one\.csv is not used: .* among clip, kind"):
        open_layout(tmp_path)
    with pytest.raises(LayoutError, match=r"clip, kind; .* --path-column and --label-column"):
        open_layout(tmp_path / "one.csv")
    rows = list(open_layout(tmp_path, path_column="Clip", label_column="kind").rows())
    assert [(row.uri, row.label) for row in rows if isinstance(row, Row)] == [("audio/a.wav", "wren")]


def test_a_column_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path):
    put(tmp_path, "a.wav")
    put(tmp_path, "t.csv", content=b"path,label,sex\na.wav,wren,m\n")
    with pytest.raises(
        DoubtfulDataset, match=r"--label-column 'gender': t.csv has no such column, but path, label, sex"
    ):
        open_layout(tmp_path, label_column="gender")
    layout = open_layout(tmp_path, label_column="sex")
    assert layout.notes[1] == "other label columns, not used: `label`; --label-column NAME takes another"


def test_species_is_the_label_beside_taxonomic_ranks_and_the_plan_says_so(tmp_path: Path):
    put(tmp_path, "a.wav")
    put(tmp_path, "t.csv", content=b"filename,kingdom,class,family,species\na.wav,Animalia,Aves,x,Turdus merula\n")
    assert [row.label for row in good(tmp_path)] == ["Turdus merula"]
    assert "other label columns, not used: `class`; --label-column NAME takes another" in open_layout(tmp_path).notes


@pytest.mark.parametrize(
    "columns",
    ["Start (s),End (s)", "begin_time,end_time", "onset,offset", "t_min,t_max", "start_seconds,end_seconds",
     "Begin Time (s),End Time (s)", "start,duration"],
)  # fmt: skip
def test_rows_with_begin_and_end_are_refused(tmp_path: Path, columns: str):
    put(tmp_path, "a.wav")
    put(tmp_path, "t.csv", content=f"{columns},label,file\n0,3,wren,a.wav\n3,6,robin,a.wav\n".encode())
    with pytest.raises(DoubtfulDataset, match=r"t\.csv has the columns .*labels a part of a recording") as caught:
        open_layout(tmp_path)
    assert caught.value.exit_code == 2
    put(tmp_path, "wren/b.wav", "robin/b.wav")
    with pytest.raises(DoubtfulDataset, match="labels a part of a recording"):
        open_layout(tmp_path)


def test_begin_and_end_that_are_dates_do_not_make_a_row_a_part_of_a_recording(tmp_path: Path):
    put(tmp_path, "a.wav")
    text = b"file,label,start,end\na.wav,wren,2021-05-30T04:30:00,2021-05-30 04:31\n"
    put(tmp_path, "t.csv", content=text)
    assert [row.label for row in good(tmp_path)] == ["wren"]


def test_a_table_with_times_is_not_used_beside_one_without(tmp_path: Path):
    put(tmp_path, "a.wav")
    put(tmp_path, "times.csv", content=b"file,label,start,end\na.wav,robin,0,3\n")
    put(tmp_path, "whole.csv", content=b"file,label\na.wav,wren\n")
    assert [row.label for row in good(tmp_path)] == ["wren"]
    assert "times.csv is not used: its rows label parts of recordings" in open_layout(tmp_path).notes
