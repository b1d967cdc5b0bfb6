"""The command line on real recordings, compared with what is known of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.audio.strip import decode_strip
from tests.e2e.command import orchestrator
from tests.shared_data import shared_data, some_of_esc10


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """birds10 taken the whole way, briefly trained: the home, and what `--json` said."""
    home = tmp_path_factory.mktemp("birds")
    answer = orchestrator("run", shared_data("birds10"), "--epochs", "2", "--home", home, "--json", timeout_s=800)
    assert answer.code == 0, answer.err
    return home, answer.json


def test_every_clip_becomes_a_strip_with_its_provenance(birds: tuple[Path, dict[str, Any]]) -> None:
    home, found = birds
    assert found["recordings"]["done"] == found["recordings"]["total"] == 100
    strips = [decode_strip(path.read_bytes()) for path in sorted((home / "store" / "strips").rglob("*.png"))]
    assert len(strips) == 100
    for strip in strips:
        assert strip.spectrograms.shape[1:] == (48, 128)
        assert strip.features.shape == (len(strip.spectrograms), 15)
        assert {"numpy", "scipy"} <= set(strip.versions)


def test_the_run_ends_with_scores_and_a_page(birds: tuple[Path, dict[str, Any]]) -> None:
    _, found = birds
    assert [job["kind"] for job in found["jobs"]] == ["pack", "pack", "pack", "train", "evaluate", "render"]
    assert {job["state"] for job in found["jobs"]} == {"done"}
    accuracies = ("accuracy", "by_recording_accuracy")
    ends = {name + end for name in (*accuracies, "macro_f1") for end in ("", "_sd")}
    score = found["scores"]["cnn"]
    assert set(score) == ends | {f"{name}_interval" for name in accuracies} | {
        "groups", "trainings", "trainings_planned",
    }  # fmt: skip
    assert score["trainings"] == score["trainings_planned"] == 1
    for name in accuracies:
        low, high = score[f"{name}_interval"]
        assert 0 <= low <= score[name] <= high <= 1
        assert low < high
    page = Path(found["report"]).read_text()
    assert "Junco_hyemalis" in page
    assert "Every group is in one subset" in page


def test_the_same_clips_again_need_no_preprocessing(birds: tuple[Path, dict[str, Any]]) -> None:
    home, _ = birds
    strips = sorted((home / "store" / "strips").rglob("*.png"))
    before = {path: path.stat().st_mtime_ns for path in strips}
    answer = orchestrator("run", shared_data("birds10"), "--until", "preprocess", "--home", home, "--json")
    assert answer.code == 0, answer.err
    assert {path: path.stat().st_mtime_ns for path in sorted((home / "store" / "strips").rglob("*.png"))} == before


def test_official_folds_become_one_training_each_and_their_mean(tmp_path: Path) -> None:
    """Slow: three trainings and three evaluations are six processes that import TensorFlow."""
    esc10 = some_of_esc10(tmp_path / "esc10", per_class_and_fold=4, folds="135")
    words = ("--models", "mlp", "--epochs", "1", "--home", tmp_path / "home", "--json")
    answer = orchestrator("run", esc10, *words, timeout_s=800)
    assert answer.code == 0, answer.err
    trained = [job for job in answer.json["jobs"] if job["kind"] == "train"]
    assert sorted(job["fold"] for job in trained) == [1, 3, 5]
    assert answer.json["scores"]["mlp"]["accuracy_sd"] is not None
    # Of every fold a training part; validation groups were drawn in two of the three.
    assert sorted(job["fold"] for job in answer.json["jobs"] if job["kind"] == "pack") == [1, 1, 3, 3, 5]


def test_every_bad_file_is_named_with_a_reason_and_costs_no_good_one(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    good = sorted((shared_data("birds10") / "by_class").glob("*/*.mp3"))[::4]
    for path in good:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    bad = [
        path for path in sorted(shared_data("bad").rglob("*")) if path.is_file() and path.suffix not in {".md", ".txt"}
    ]
    for number, path in enumerate(bad):
        into = folder / "Junco_hyemalis" / f"bad-{number:03d}"
        into.mkdir()
        shutil.copy(path, into / path.name)
    answer = orchestrator("run", folder, "--until", "preprocess", "--home", tmp_path / "home", "--json")
    assert answer.code == 3, answer.err
    found = answer.json
    assert found["recordings"]["failed"] == found["recordings"]["waiting"] == 0
    assert found["recordings"]["done"] >= len(good) >= 20
    assert not [entry for entry in found["quarantined"] if "bad-" not in entry["recording"]]
    codes = {entry["reason_code"] for entry in found["quarantined"]}
    assert {"empty", "too_short", "unreadable", "unsupported_format", "header_mismatch"} <= codes
    assert all(": " in entry["reason"] for entry in found["quarantined"])
    log = (tmp_path / "home" / "logs" / "cpu.log").read_text()
    assert "WorkerLostError" not in log
