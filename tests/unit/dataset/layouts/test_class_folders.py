"""One folder per class: BirdNET's rules, and the files that cannot be used."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tasks.dataset.layouts import BadRow, Row, is_non_event, open_layout


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"RIFF")


def labels(root: Path) -> dict[str, str]:
    return {row.uri: row.label for row in open_layout(root).rows() if isinstance(row, Row)}


def bad(root: Path) -> dict[str, str]:
    return {row.uri: row.reason for row in open_layout(root).rows() if isinstance(row, BadRow)}


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


def test_a_folder_train_beside_other_classes_is_a_class(tmp_path: Path):
    put(tmp_path, "train/a.wav", "plane/b.wav")
    assert set(labels(tmp_path).values()) == {"train", "plane"}


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
