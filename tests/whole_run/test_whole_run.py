"""One run of the command line from recordings to a report, and what a second command finds of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import dawn_chorus
from tests.e2e.command import Answer, orchestrator
from tests.recordings import write_class_folders, write_silence

TONES = {"high": 6000.0, "low": 1000.0}
MODELS = ("--models", "cnn", "--epochs", "2", "--json")


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six tones, and one recording of silence."""
    root = write_class_folders(tmp_path_factory.mktemp("data") / "tones", TONES, per_label=6, seconds=1.0)
    write_silence(root / "low" / "night.wav", 1.0)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(tones: Path, home: Path) -> Answer:
    """The run, carried out to its end."""
    return orchestrator("run", tones, *MODELS, "--home", home)


def test_a_run_ends_with_scores_a_report_and_the_silent_recording_in_quarantine(first: Answer) -> None:
    assert first.code == 3, first.err
    found = first.json
    assert found["state"] == "done"
    assert found["recordings"] == {**found["recordings"], "total": 13, "done": 12, "quarantined": 1}
    assert [(entry["recording"], entry["reason_code"]) for entry in found["quarantined"]] == [
        ("low/night.wav", "silent")
    ]
    assert 0 <= found["scores"]["cnn"]["accuracy"] <= 1
    page = Path(found["report"]).read_text("utf-8")
    assert "tones" in page
    assert "<script" not in page


def test_the_same_run_again_makes_no_file_again(first: Answer, tones: Path, home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (home / "store").rglob("*") if path.is_file()}
    again = orchestrator("run", tones, "--until", "pack", "--json", "--home", home)
    assert again.code == 3, again.err
    assert {path: path.stat().st_mtime_ns for path in (home / "store").rglob("*") if path.is_file()} == before


def test_the_doctor_finds_nothing_wrong(first: Answer, home: Path) -> None:
    answer = orchestrator("doctor", "--home", home)
    assert answer.code == 0, answer.err
    assert "no problems found" in answer.out


def test_python_reads_what_the_run_left_and_applies_its_model(first: Answer, tones: Path, home: Path) -> None:
    opened = dawn_chorus.open_home(home)
    run = opened.run(1)
    assert run.recordings()["state"].value_counts().to_dict() == {"done": 12, "quarantined": 1}
    assert run.shards().count_rows() == 12
    figures = run.metrics().query("task == 'evaluate' and metric == 'accuracy'")
    assert figures["value"].tolist() == pytest.approx([first.json["scores"]["cnn"]["accuracy"]])
    model = dawn_chorus.load_model(opened, 1)
    found = model.predict(tones / "high" / "high-0.wav")
    assert found[["start_s", "end_s"]].values.tolist() == [[0.0, 1.0]]
    assert found[list(model.labels)].sum(axis=1)[0] == pytest.approx(1)


PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text("utf-8")
PAGE = PAGE.partition("## Other commands")[0]


def keys(value: Any, path: str = "") -> set[str]:
    """Paths of all leaves, as the reference page writes them; names of models and metrics are placeholders there."""
    if value in ([], {}):
        return set()
    if isinstance(value, list) and isinstance(value[0], dict):
        return set().union(*(keys(each, f"{path}[]") for each in value))
    if not isinstance(value, dict):
        return {path}
    placeholder = {"scores": "MODEL", "jobs[].metrics": "NAME"}.get(path)
    return set().union(*(keys(each, f"{path}.{placeholder or name}".lstrip(".")) for name, each in value.items()))


def test_every_key_of_the_json_object_is_documented(first: Answer) -> None:
    documented = {
        name for row in re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE) for name in re.findall(r"`(\S+?)`", row)
    }
    assert keys(first.json) <= documented
