"""The plan lists all classes, and refuses to lose one without being asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.planning.dry_run import DryRun, dry_run
from orchestrator.planning.request import Request
from tasks.dataset.layouts import DoubtfulDataset
from tests.recordings import write_class_folders, write_tone


def planned(path: Path, *, allow_empty_classes: bool = False) -> DryRun:
    request = Request(until="preprocess", allow_empty_classes=allow_empty_classes)
    return dry_run(None, path, request, lambda _: None)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "tones", {"wren": 3000.0, "crow": 1500.0}, per_label=2, seconds=0.2)


def test_a_class_whose_files_cannot_be_decoded_is_named_with_their_ending(tones: Path):
    (tones / "robin").mkdir()
    for n in range(3):
        (tones / "robin" / f"{n}.wac").write_bytes(b"WAAC nothing here")
    with pytest.raises(DoubtfulDataset, match=r"class robin would be empty \(3 x wac, unsupported format\)") as caught:
        planned(tones)
    assert caught.value.exit_code == 2
    assert "--allow-empty-classes" in str(caught.value)
    assert planned(tones, allow_empty_classes=True).values()["unmeasured"] == 3


def test_recordings_that_need_pyav_are_refused_in_one_line_where_it_is_not_installed(tones: Path, tmp_path: Path):
    (tmp_path / "av.py").write_text("raise ImportError\n")
    for n in range(3):
        (tones / "crow" / f"{n}.m4a").write_bytes(b"\0\0\0\x20ftypM4A nothing here")
    (tones / "robin").mkdir()
    (tones / "robin" / "0.m4a").write_bytes(b"\0\0\0\x20ftypM4A nothing here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(DoubtfulDataset, match=r"robin would be empty \(1 x m4a, needs a decoder that is") as caught:
            planned(tones)
        found = planned(tones, allow_empty_classes=True)
    assert "PyAV decodes some of them, install it: pip install" in str(caught.value)
    lines = [line for line in found.lines() if line.startswith("  4 x m4a, needs a decoder that is not installed: ")]
    assert len(lines) == 1
    assert lines[0].endswith("or convert the recording to WAV or FLAC")
    assert found.values()["unmeasured_by_reason"][0]["reason_code"] == "no_decoder"


def test_a_truncated_recording_is_named_with_what_is_stated_and_what_is_there(tones: Path):
    path = write_tone(tones / "crow" / "half.aiff", 1000.0, 2.0)
    path.write_bytes(path.read_bytes()[:64_000])
    assert (
        "  1 x aiff, header and content disagree: half.aiff is truncated: its header declares 2.0 s, but the file "
        "holds 1.0 s"
    ) in planned(tones).lines()


def test_a_class_with_one_usable_recording_is_no_empty_class(tones: Path):
    (tones / "wren" / "broken.m4a").write_bytes(b"\0\0\0\x20ftypM4A nothing here")
    (tones / "wren" / "empty.wav").touch()
    lines = planned(tones).lines()
    assert "classes: crow (2), wren (3)" in lines
    assert "wren/empty.wav: empty: 0 bytes" in lines


def test_a_class_whose_files_are_missing_or_empty_is_named(tones: Path):
    (tones / "zero.wav").touch()
    paths = [f"{label}/{label}-{n}.wav,{label}" for label in ("wren", "crow") for n in range(2)]
    assert all((tones / path.partition(",")[0]).is_file() for path in paths)
    (tones / "labels.csv").write_text("path,label\n" + "\n".join([*paths, "gone.wav,owl", "zero.wav,jay"]) + "\n")
    with pytest.raises(DoubtfulDataset, match=r"class jay would be empty \(1 x empty\); class owl .*1 x missing file"):
        planned(tones)


def test_classes_that_differ_only_by_case_are_noted(tmp_path: Path):
    root = write_class_folders(tmp_path, {"Grey heron": 3000.0, "Grey Heron": 1500.0}, per_label=1, seconds=0.2)
    found = planned(root)
    assert "Grey Heron and Grey heron differ only by case and are two classes" in found.lines()
    assert found.values()["classes_differing_by_case"] == [["Grey Heron", "Grey heron"]]
