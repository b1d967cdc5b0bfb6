"""One folder per class: BirdNET's rules, and the files that cannot be used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tasks.dataset.layouts import DoubtfulDataset, Row, UnusableRow, is_non_event, open_layout
from tasks.dataset.layouts.folder_walk import begins_like_audio


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF")


def labels(root: Path) -> dict[str, str]:
    return {row.uri: row.label for row in open_layout(root).rows() if isinstance(row, Row)}


def bad(root: Path) -> dict[str, str]:
    return {row.uri: row.reason for row in open_layout(root).rows() if isinstance(row, UnusableRow)}


def test_the_first_folder_is_the_label_at_any_depth(tmp_path: Path):
    put(tmp_path, "Turdus merula_Blackbird/site 1/2021/x.WAV", "wren/y.Mp3", "wren/z.flac")
    assert labels(tmp_path) == {
        "Turdus merula_Blackbird/site 1/2021/x.WAV": "Turdus merula_Blackbird",
        "wren/y.Mp3": "wren",
        "wren/z.flac": "wren",
    }


def test_a_folder_name_with_commas_gives_several_labels_and_the_first_is_the_class(tmp_path: Path):
    put(tmp_path, "wren, robin,wren ,/a.wav", "robin/b.wav")
    row = next(row for row in open_layout(tmp_path).rows() if isinstance(row, Row) and row.uri.endswith("a.wav"))
    assert (row.label, row.secondary) == ("wren", ("robin",))


def test_non_events_are_labels_as_written(tmp_path: Path):
    put(tmp_path, "Noise/a.wav", "wren/b.wav")
    assert set(labels(tmp_path).values()) == {"Noise", "wren"}
    assert is_non_event("Noise")


def test_hidden_files_other_files_and_system_folders_are_not_recordings(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "wren/._a.wav", "wren/notes.txt", "robin/b.wav", "__MACOSX/wren/a.wav", ".git/x/y.wav")
    assert list(labels(tmp_path)) == ["robin/b.wav", "wren/a.wav"]


def test_a_file_in_an_unsupported_audio_format_is_a_recording(tmp_path: Path):
    put(tmp_path, "wren/a.m4a", "robin/b.wma")
    assert len(labels(tmp_path)) == 2


def test_class_folders_are_found_inside_a_single_outer_folder(tmp_path: Path):
    put(tmp_path, "dataset/by_class/wren/a.wav", "dataset/by_class/robin/b.wav")
    assert labels(tmp_path) == {"dataset/by_class/robin/b.wav": "robin", "dataset/by_class/wren/a.wav": "wren"}
    assert open_layout(tmp_path).notes == ("the class folders are in dataset/by_class",)


def test_train_and_test_folders_become_the_split(tmp_path: Path):
    put(tmp_path, "Train/wren/a.wav", "test/wren/b.wav", "val/robin/c.wav")
    rows = [row for row in open_layout(tmp_path).rows() if isinstance(row, Row)]
    assert {row.uri: (row.split, row.label) for row in rows} == {
        "Train/wren/a.wav": ("train", "wren"),
        "test/wren/b.wav": ("test", "wren"),
        "val/robin/c.wav": ("valid", "robin"),
    }


@pytest.mark.parametrize("word", ["train", "Test_set", "fold1", "audio", "WAVs", "data", "recordings", "train_audio"])
def test_a_folder_named_like_a_split_a_fold_or_a_place_beside_classes_is_refused(tmp_path: Path, word: str):
    put(tmp_path, f"{word}/a.wav", "plane/b.wav")
    with pytest.raises(
        DoubtfulDataset, match=f"{word} is the name of .* beside plane.*--class-folders {word}"
    ) as caught:
        open_layout(tmp_path)
    assert caught.value.exit_code == 2


def test_a_folder_named_train_is_a_class_if_the_user_says_so(tmp_path: Path):
    put(tmp_path, "Train/a.wav", "plane/b.wav")
    rows = [row for row in open_layout(tmp_path, class_folders=("train",)).rows() if isinstance(row, Row)]
    assert {(row.label, row.split) for row in rows} == {("Train", None), ("plane", None)}


@pytest.mark.parametrize(
    "name",
    [
        "noise",
        "other",
        "wavesong",
        "class 1",
        "2",
        "sea waves",
        "flac_test_files",
        "soundfile",
        "trainer",
        "parties",
        "dev_clean",
    ],
)
def test_other_names_are_classes(tmp_path: Path, name: str):
    put(tmp_path, f"{name}/a.wav", "plane/b.wav")
    assert set(labels(tmp_path).values()) == {name, "plane"}


def test_folders_without_audio_do_not_hide_the_split_folders(tmp_path: Path):
    put(tmp_path, "train/wren/a.wav", "test/robin/b.wav", "docs/readme.txt", "scripts/x/y.py")
    layout = open_layout(tmp_path)
    rows = [row for row in layout.rows() if isinstance(row, Row)]
    assert {(row.label, row.split) for row in rows} == {("wren", "train"), ("robin", "test")}
    assert layout.findings.as_dict()["folders_without_recordings"] == ["docs", "scripts"]


def test_folders_without_audio_do_not_hide_the_only_folder_with_class_folders(tmp_path: Path):
    put(tmp_path, "audio/wren/a.wav", "audio/robin/b.wav", "docs/readme.txt")
    assert set(labels(tmp_path).values()) == {"wren", "robin"}


def test_folders_for_folds_around_the_class_folders_become_folds(tmp_path: Path):
    put(tmp_path, "fold1/wren/a.wav", "fold_2/wren/b.wav", "Fold 10/robin/c.wav", "readme.md")
    layout = open_layout(tmp_path)
    rows = [row for row in layout.rows() if isinstance(row, Row)]
    assert {row.uri: (row.fold, row.label) for row in rows} == {
        "fold1/wren/a.wav": (1, "wren"),
        "fold_2/wren/b.wav": (2, "wren"),
        "Fold 10/robin/c.wav": (10, "robin"),
    }
    assert layout.notes == ("the folds come from the dataset's folders Fold 10, fold1, fold_2",)


def splits(root: Path, *classes: str) -> dict[str, tuple[str | None, int | None]]:
    rows = open_layout(root, class_folders=classes).rows()
    return {row.uri: (row.split, row.fold) for row in rows if isinstance(row, Row)}


def test_split_and_fold_folders_inside_class_folders_become_split_and_fold_and_are_named(tmp_path: Path):
    put(tmp_path, "wren/train/a.wav", "wren/Test set/audio/b.wav", "robin/fold 2/c.wav", "robin/ann/d.wav")
    assert splits(tmp_path) == {
        "wren/train/a.wav": ("train", None), "wren/Test set/audio/b.wav": ("test", None),
        "robin/fold 2/c.wav": (None, 2), "robin/ann/d.wav": (None, None),
    }  # fmt: skip
    layout = open_layout(tmp_path)
    assert len(list(layout.rows())) == 4
    assert layout.findings.lines() == [
        "split or folds come from folders inside the class folders: Test set, fold 2, train; if their names mean "
        "nothing: --class-folders Test set,fold 2,train"
    ]
    assert set(splits(tmp_path, "Test set", "fold 2", "train").values()) == {(None, None)}


def test_the_split_folder_around_a_class_folder_wins_over_one_inside_it(tmp_path: Path):
    put(tmp_path, "test/wren/train/a.wav", "train/robin/b.wav")
    assert splits(tmp_path) == {"test/wren/train/a.wav": ("test", None), "train/robin/b.wav": ("train", None)}


def test_places_between_split_folders_and_class_folders_are_no_classes(tmp_path: Path):
    put(tmp_path, "train/audio/wren/a.wav", "test/audio/robin/b.wav", "test/audio/wren/c.wav")
    rows = [row for row in open_layout(tmp_path).rows() if isinstance(row, Row)]
    assert {(row.label, row.split) for row in rows} == {("wren", "train"), ("robin", "test"), ("wren", "test")}


@pytest.mark.parametrize("folders", [("train", "test"), ("audio/fold1", "audio/fold2"), ("wav", "mp3"), ("data",)])
def test_recordings_directly_in_folders_that_are_no_classes_are_refused(tmp_path: Path, folders: tuple[str, ...]):
    put(tmp_path, *(f"{folder}/a.wav" for folder in folders))
    with pytest.raises(DoubtfulDataset, match=r"no class folders: .*--class-folders"):
        open_layout(tmp_path)
    if len(folders) > 1:
        names = tuple(folder.rpartition("/")[2] for folder in folders)
        found = open_layout(tmp_path, class_folders=names).rows()
        assert {row.label for row in found if isinstance(row, Row)} == set(names)


def test_a_recording_outside_the_class_folders_has_no_label(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/c.wav", "b.wav")
    assert bad(tmp_path) == {"b.wav": "no label: the file is not in a class folder"}


def test_a_link_out_of_the_dataset_is_refused_and_a_link_inside_it_is_a_recording(tmp_path: Path):
    put(tmp_path, "outside/secret.wav", "data/wren/a.wav", "data/robin/b.wav")
    (tmp_path / "data/wren/out.wav").symlink_to(tmp_path / "outside/secret.wav")
    (tmp_path / "data/wren/in.wav").symlink_to(tmp_path / "data/robin/b.wav")
    assert bad(tmp_path / "data") == {"wren/out.wav": "outside the dataset folder: a link leads out of it"}
    assert "wren/in.wav" in labels(tmp_path / "data")


def test_linked_folders_and_link_cycles_are_reported_and_not_followed(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/b.wav")
    (tmp_path / "wren/again").symlink_to(tmp_path)
    (tmp_path / "wren/self.wav").symlink_to(tmp_path / "wren/self.wav")
    assert bad(tmp_path) == {
        "wren/again": "linked folder is not followed: replace the link by the folder itself",
        "wren/self.wav": "outside the dataset folder: a link leads out of it"
        if sys.version_info < (3, 13)
        else "missing file",
    }
    assert len(labels(tmp_path)) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_name_that_is_not_utf8_is_reported_escaped(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/b.wav")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/wren/caf\xe9.wav")).write_bytes(b"RIFF")
    assert bad(tmp_path) == {"wren/caf\\xe9.wav": "unprintable name: rename the file in plain UTF-8"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root opens every folder")
def test_an_unreadable_folder_is_reported_and_the_other_folders_are_read(tmp_path: Path):
    put(tmp_path, "wren/a.wav", "robin/b.wav", "robin/locked/c.wav")
    (tmp_path / "robin/locked").chmod(0)
    try:
        assert bad(tmp_path) == {"robin/locked": "folder cannot be opened"}
        assert len(labels(tmp_path)) == 2
    finally:
        (tmp_path / "robin/locked").chmod(0o755)


def test_labels_that_differ_only_in_unicode_normalisation_are_equal(tmp_path: Path):
    put(tmp_path, "cafe\u0301/a.wav", "caf\u00e9/b.wav", "wren/c.wav")
    assert set(labels(tmp_path).values()) == {"caf\u00e9", "wren"}
    assert all((tmp_path / uri).is_file() for uri in labels(tmp_path))


def test_a_file_without_an_audio_name_is_used_if_it_begins_like_audio_and_counted_otherwise(tmp_path: Path):
    put(tmp_path, "wren/a.wav")
    (tmp_path / "robin").mkdir()
    (tmp_path / "robin" / "XC1.mp3?download=1").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    (tmp_path / "robin" / "XC2").write_bytes(b"fLaC\0\0\0\x22")
    put(tmp_path, "robin/notes.txt", "robin/LICENSE", "wren/b.zip", "readme.md")
    layout = open_layout(tmp_path)
    rows = {row.uri: row.label for row in layout.rows() if isinstance(row, Row)}
    assert rows == {"robin/XC1.mp3?download=1": "robin", "robin/XC2": "robin", "wren/a.wav": "wren"}
    found = layout.findings.as_dict()
    assert found["files_used_by_content"] == 2
    assert found["files_left_out"] == {"(none)": 1, ".txt": 1, ".zip": 1}
    assert any(line.startswith("2 files without the ending of an audio format") for line in layout.findings.lines())


def test_folders_read_as_one_class_are_named(tmp_path: Path):
    put(tmp_path, "Owl, Barn/a.wav", "Owl, Tawny/b.wav", "Wren, Winter/c.wav")
    layout = open_layout(tmp_path)
    assert len(list(layout.rows())) == 3
    assert layout.findings.lines() == ["2 folders read as Owl: Owl, Barn; Owl, Tawny"]
    assert layout.findings.as_dict()["names_read_as_one"] == {"Owl": ["Owl, Barn", "Owl, Tawny"]}


def test_what_was_found_is_the_same_after_a_second_pass(tmp_path: Path):
    put(tmp_path, "Owl, Barn/a.wav", "Owl, Tawny/b.txt", "wren/b.wav")
    layout = open_layout(tmp_path)
    list(layout.rows())
    first = layout.findings.as_dict()
    list(layout.rows())
    assert layout.findings.as_dict() == first


def test_a_home_below_the_dataset_holds_no_recordings_and_its_ledger_is_never_opened(tmp_path: Path) -> None:
    for name in ("wren/a.wav", "home/demo/robin/b.wav", "home/ledger.sqlite", "home/ledger.sqlite-wal"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"RIFF0000WAVE")
    assert [row.uri for row in open_layout(tmp_path).rows()] == ["wren/a.wav"]
    assert begins_like_audio(tmp_path / "wren" / "a.wav")
    assert not begins_like_audio(tmp_path / "home" / "ledger.sqlite-wal")
