"""A trained model predicts new recordings: tables, other thresholds without inference, interruptions, refusals.

Slow: one training, and real worker processes for each prediction.
"""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tasks.audio.preset import load_preset
from tasks.audio.strip import make_strip
from tasks.detections.score_file import read_scores
from tasks.model.bundle.bundle import read_bundle
from tasks.model.inputs import RawBatch, keras_arguments, prepare_inputs
from tests.e2e.command import orchestrator, processes_of, started, until
from tests.e2e.way import dataset
from tests.recorder_files import comment, riff
from tests.recordings import write_silence, write_tone

ROOT = Path(__file__).parents[2]
STORED = (".sqlite", ".parquet", ".npz", ".png", ".onnx", ".keras", ".json", ".html")
TABLES = "csv,raven,audacity,parquet,kaleidoscope,birdnet"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    trained = orchestrator(
        "run", dataset(folder), "--models", "mlp", "--epochs", "2", "--home", folder / "home", timeout_s=800
    )
    assert trained.code == 0, trained.err
    return folder / "home"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four good recordings in nested folders and several formats, one broken, one empty, and a text."""
    folder = tmp_path_factory.mktemp("recordings")
    write_tone(folder / "a, site" / "long.wav", 1000.0, 82.0)
    write_tone(folder / "a, site" / "short.flac", 6000.0, 1.0, rate_hz=44_100)
    write_tone(folder / "b" / "Größe.ogg", 3000.0, 12.0)
    write_silence(folder / "b" / "silent.wav", 20.0)
    (folder / "b" / "broken.wav").write_bytes(b"RIFF0000WAVEfmt nothing")
    (folder / "b" / "empty.wav").touch()
    (folder / "b" / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture(scope="module")
def predicted(home: Path, recordings: Path) -> Path:
    """The tables of run 2, with every window as a detection."""
    answer = orchestrator(
        "predict", recordings, "--model", "1", "--threshold", "0", "--top", "1", "--format", TABLES, "--home", home,
        "--json",
    )  # fmt: skip
    assert answer.code == 3, answer.err
    assert [each["recording"] for each in answer.json["quarantined"]] == ["b/broken.wav", "b/empty.wav"]
    assert answer.json["detections"]["n_windows"] == 17 + 1 + 3
    return Path(answer.json["detections"]["folder"])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "detections.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_second_with_sound_is_in_the_tables_and_no_detection_ends_after_its_recording(predicted: Path) -> None:
    found = [(row["recording"], float(row["start_s"]), float(row["end_s"])) for row in rows(predicted)]
    long = [("a, site/long.wav", 5.0 * n, min(5.0 * n + 5, 82.0)) for n in range(17)]
    ogg = [("b/Größe.ogg", 0.0, 5.0), ("b/Größe.ogg", 5.0, 10.0), ("b/Größe.ogg", 10.0, 12.0)]
    assert found == [*long, ("a, site/short.flac", 0.0, 1.0), *ogg]
    quarantine = (predicted / "quarantine.csv").read_text("utf-8").splitlines()
    assert [row.partition(",")[0] for row in quarantine] == ["recording", "b/broken.wav", "b/empty.wav"]


def test_scores_are_those_of_the_trained_network_in_keras(predicted: Path, home: Path, recordings: Path) -> None:
    [file] = (home / "store" / "predictions").glob("*/scores.parquet")
    _, scored = read_scores(file)
    scores = {each.uri: each.scores for each in scored}
    [bundle_file] = (home / "store" / "models").glob("*/*.keras")
    bundle = read_bundle(bundle_file)
    preset = load_preset("birdclef2021")
    for uri, first_chunks in (("a, site/long.wav", 15), ("b/Größe.ogg", 2)):
        strip = make_strip(recordings / uri, "0" * 64, 0, 0, preset)
        inputs = prepare_inputs(RawBatch(strip.spectrograms, strip.features), bundle.inputs, bundle.facts.scaling)
        expected = bundle.model.predict_on_batch(keras_arguments(inputs))
        assert np.abs(scores[uri][:first_chunks] - expected[:first_chunks]).max() < 1e-5


def test_other_thresholds_and_formats_run_no_inference_and_give_the_same_bytes_again(
    predicted: Path, home: Path, tmp_path: Path
) -> None:
    def attempts() -> int:
        return int(orchestrator("status", "2", "--home", home, "--json").json["faults"]["retries"])

    before = {path.name: path.read_bytes() for path in predicted.iterdir() if path.is_file()}
    again = orchestrator(
        "detections", "2", "--threshold", "0", "--top", "1", "--format", TABLES, "--out", tmp_path / "t", "--home", home
    )
    assert again.code == 3, again.err
    assert "not predicted, or only in part: 2 recordings" in again.out
    assert "thresholds: 3 classes from --threshold; reasons in thresholds.csv" in again.out
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir() if path.is_file()} == before
    own = tmp_path / "own.csv"
    own.write_text("label,threshold\nlow,0\nmiddle,1\nhigh,1\n")
    words = ("--thresholds", own, "--merge-gap", "0", "--out", tmp_path / "low", "--home", home, "--json")
    assert orchestrator("detections", "2", *words).json["by_label"]["low"] == 3
    low = [row for row in rows(tmp_path / "low") if row["label"] == "low"]
    assert [(row["recording"], float(row["end_s"])) for row in low] == [
        ("a, site/long.wav", 82.0), ("a, site/short.flac", 1.0), ("b/Größe.ogg", 12.0)
    ]  # fmt: skip
    assert attempts() == 0


def test_classes_with_too_few_validation_windows_have_the_default_threshold_and_the_reason(
    predicted: Path, home: Path, tmp_path: Path
) -> None:
    answer = orchestrator("detections", "2", "--out", tmp_path / "t", "--home", home)
    assert "thresholds: 3 classes at the default 0.5; reasons in thresholds.csv" in answer.out
    with (tmp_path / "t" / "thresholds.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [row["threshold"] for row in found] == ["0.5"] * 3
    reason = "default 0.5: too few validation windows of the class"
    assert all(row["why"].startswith(reason) for row in found)
    metadata = json.loads((tmp_path / "t" / "metadata.json").read_text("utf-8"))
    assert metadata["threshold_reasons"] == {row["label"]: row["why"] for row in found}


def test_the_same_recordings_again_are_not_predicted_again(predicted: Path, home: Path, recordings: Path) -> None:
    again = orchestrator(
        "predict", recordings, "--model", "1:mlp", "--threshold", "0", "--top", "1", "--home", home, "--json"
    )
    assert again.code == 3
    assert rows(Path(again.json["detections"]["folder"])) == rows(predicted)
    assert again.json["faults"]["retries"] == 0
    refused = orchestrator("detections", str(again.json["run"]), "--out", predicted, "--home", home)
    assert refused.code == 2
    assert "holds the tables of run 2" in refused.err


def test_overlap_adds_windows_and_changes_no_score_of_the_others(predicted: Path, home: Path, recordings: Path) -> None:
    words = ("--model", "1", "--overlap", "2.5", "--threshold", "0", "--merge-gap", "0", "--home", home, "--json")
    answer = orchestrator("predict", recordings, *words)
    assert answer.code == 3, answer.err
    assert "windows of 5 s, one every 2.5 s" in answer.err
    assert answer.json["detections"]["n_windows"] == 33 + 1 + 5
    windows, chunks = scores_by_window(home, 2.5), scores_by_window(home, 0.0)
    assert len(windows) == 39
    assert {window: windows[window] for window in chunks} == chunks
    folder = Path(answer.json["detections"]["folder"])
    assert json.loads((folder / "metadata.json").read_text("utf-8"))["overlap_s"] == 2.5
    low = [row for row in rows(folder) if row["label"] == "low"]  # every window names every class: one stretch each
    assert [(row["recording"], float(row["start_s"]), float(row["end_s"])) for row in low] == [
        ("a, site/long.wav", 0.0, 82.0), ("a, site/short.flac", 0.0, 1.0), ("b/Größe.ogg", 0.0, 12.0)
    ]  # fmt: skip


def scores_by_window(home: Path, overlap_s: float) -> dict[tuple[str, float], bytes]:
    """The scores of the prediction with an overlap, by recording and start."""
    found = [read_scores(path) for path in (home / "store" / "predictions").glob("*/scores.parquet")]
    scored = next(scored for facts, scored in found if facts.overlap_s == overlap_s)
    return {
        (each.uri, start_s): row.tobytes()
        for each in scored
        for start_s, row in zip(each.starts_s.tolist(), each.scores, strict=True)
    }


def test_a_killed_prediction_is_resumed_and_gives_the_same_table(
    predicted: Path, home: Path, recordings: Path, tmp_path: Path
) -> None:
    """Many recordings with the same sound, so that the command is killed at work."""
    for number in range(40):
        write_tone(tmp_path / "many" / f"{number:02}.wav", 1000.0 + number, 80.0)
    words = ("--model", "1", "--threshold", "0.4", "--home", home)
    with started("predict", tmp_path / "many", *words) as process:
        until(lambda: (home / "store" / "scores").exists() and len(files_of(home, tmp_path)) > 0, 120)
        process.send_signal(signal.SIGKILL)
    until(lambda: not processes_of(home))
    run = max(each["id"] for each in orchestrator("runs", "--home", home, "--json").json["runs"])
    resumed = orchestrator("resume", str(run), "--home", home)
    assert resumed.code == 0, resumed.err
    assert f"detections {run}" in resumed.err
    assert orchestrator("detections", str(run), "--threshold", "0.4", "--home", home).code == 0
    undisturbed = orchestrator("predict", tmp_path / "many", *words, "--json")
    assert undisturbed.code == 0, undisturbed.err
    disturbed = home / "predictions" / str(run) / "detections.csv"
    assert disturbed.read_bytes() == (Path(undisturbed.json["detections"]["folder"]) / "detections.csv").read_bytes()


def test_a_folder_with_other_tables_is_refused_before_anything_is_predicted(
    predicted: Path, home: Path, recordings: Path
) -> None:
    answer = orchestrator("predict", recordings, "--model", "1", "--out", predicted, "--home", home)
    assert answer.code == 2
    assert "holds metadata.json of another run" in answer.err


def test_an_exported_network_gives_the_same_tables_in_another_home(
    predicted: Path, home: Path, recordings: Path, tmp_path: Path
) -> None:
    exported = orchestrator("export", "1", "--out", tmp_path / "networks", "--home", home)
    assert exported.code == 0, exported.err
    assert exported.out.split() == [str(tmp_path / "networks" / "1-mlp.onnx")]
    answer = orchestrator(
        "predict", recordings, "--model", tmp_path / "networks", "--threshold", "0", "--top", "1",
        "--home", tmp_path / "other", "--json",
    )  # fmt: skip
    assert answer.code == 3, answer.err
    kept = [{**row, "model": "1:mlp"} for row in rows(Path(answer.json["detections"]["folder"]))]
    assert kept == rows(predicted)


def test_recordings_that_the_model_was_trained_on_are_said(home: Path, tmp_path: Path) -> None:
    """Copies under other names, of the training and validation subsets; those of the test subset do not count."""
    for path in (home.parent / "tones").glob("*/*.wav"):
        (tmp_path / f"{path.parent.name} {path.name}").write_bytes(path.read_bytes())
    answer = orchestrator("predict", tmp_path, "--model", "1", "--home", home, "--json")
    assert answer.code == 0, answer.err
    [warning] = [each for each in answer.json["detections"]["warnings"] if "trained on" in each]
    assert warning in answer.err
    n_trained = int(re.search(r"trained on (\d+) recordings", warning)[1])
    assert 18 < n_trained < 36


def test_times_and_sites_are_in_the_tables_in_another_zone_without_the_recordings(home: Path, tmp_path: Path) -> None:
    """A recording of an AudioMoth, one of a Song Meter, and one without a time."""
    sound = write_tone(tmp_path / "new" / "wren.wav", 1000.0, 6.0).read_bytes()
    data = sound[sound.index(b"fmt ") :]
    header = comment("Recorded at 21:59:54 20/05/2023 (UTC) by AudioMoth 24E1440361F0A5C2 at medium gain")
    for name, after in (("north/1.WAV", header), ("south/SM_20230520_235954.wav", b"")):
        (tmp_path / "new" / name).parent.mkdir()
        (tmp_path / "new" / name).write_bytes(riff(data + after))
    words = ("--threshold", "0", "--top", "1", "--home", home, "--json")
    answer = orchestrator("predict", tmp_path / "new", "--model", "1", *words)
    assert answer.code == 0, answer.err
    folder = Path(answer.json["detections"]["folder"])
    assert {(row["recorded_at_utc"], row["recorded_at_local"], row["site"]) for row in rows(folder)} == {
        ("2023-05-20T21:59:54Z", "2023-05-20T21:59:54+00:00", "north"),
        ("", "2023-05-20T23:59:54", "south"),
        ("", "", ""),
    }
    assert [line.partition(":")[0] for line in answer.json["detections"]["time_warnings"]] == ["1 recording"] * 2
    (tmp_path / "new").rename(tmp_path / "elsewhere")
    (tmp_path / "sites.csv").write_text("site,folder\nNordwald,north\n")
    placed = ("--timezone", "Europe/Berlin", "--sites", tmp_path / "sites.csv")
    again = orchestrator("detections", str(answer.json["run"]), *words, *placed)
    assert again.code == 0, again.err
    assert {(row["recorded_at_utc"], row["recorded_at_local"], row["site"]) for row in rows(folder)} == {
        ("2023-05-20T21:59:54Z", "2023-05-20T23:59:54+02:00", "Nordwald"),
        ("2023-05-20T21:59:54Z", "2023-05-20T23:59:54+02:00", "south"),
        ("", "", ""),
    }
    assert (folder / "effort.csv").read_text().splitlines() == [
        "site,date,recordings,seconds_analysed,seconds_unusable", ",,1,6.000,0.000",
        "Nordwald,2023-05-20,1,6.000,0.000", "south,2023-05-20,1,6.000,0.000",
    ]  # fmt: skip


def files_of(home: Path, since: Path) -> list[Path]:
    """The scores that were written after a folder was made."""
    made_at = since.stat().st_ctime
    return [path for path in (home / "store" / "scores").rglob("*.npz") if path.stat().st_mtime > made_at + 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "9"), "there is no run 9"),
        (("--model", "1:cnn"), "run 1 has no trained model cnn; it has mlp"),
        (("--model", "1:mlp:fold2"), "run 1 has no fold 2 of mlp; its folds are none"),
        (("--model", "mlp"), "names no model; give a run (3), its model (3:cnn), one fold (3:cnn:fold2), or an"),
        (("--model", "2"), "run 2 has no trained classifier"),
        (("--model", "1", "--format", "excel"), "the format 'excel' is unknown"),
        (("--model", "1", "--overlap", "5"), "windows of 5 s overlap by 5.0 s; the overlap must be from 0 to 4.5 s"),
        (("--model", "1", "--timezone", "localtime"), "time zone 'localtime' is unknown"),
        (("--model", "1", "--watch"), "add --remote, or leave it out"),
        (("--model", "1", "--remote", "--top", "1"), "--remote alone writes no tables"),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence_and_code_2(
    words: tuple[str, ...], said: str, predicted: Path, home: Path, recordings: Path
) -> None:
    runs = [run["id"] for run in orchestrator("runs", "--home", home, "--json").json["runs"]]
    answer = orchestrator("predict", recordings, *words, "--home", home)
    assert answer.code == 2, answer.err
    assert said in answer.err
    assert not answer.has_traceback
    assert [run["id"] for run in orchestrator("runs", "--home", home, "--json").json["runs"]] == runs


def test_the_cells_of_the_notebook_run_in_order(predicted: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: one namespace, and runs 1 and 2 of the home."""
    monkeypatch.setenv("CHORUS_HOME", str(home))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
    names: dict[str, Any] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    names["plt"].close("all")
    assert len(names["detections"]) > 0
    assert names["shape"] == [48, 128]
    long = names["scores"].query("recording == 'a, site/long.wav'").drop(columns="recording")
    pd.testing.assert_frame_equal(names["predicted"], long.reset_index(drop=True))


def test_a_model_in_python_gives_the_scores_of_the_run_without_tensorflow(
    predicted: Path, home: Path, recordings: Path
) -> None:
    """In a process of its own, which shows that no module of TensorFlow or Celery is loaded; no file is changed."""
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix in STORED}
    script = (
        "import sys, dawn_chorus\n"
        "home, folder = sys.argv[1:]\n"
        "run, model = dawn_chorus.open_home(home).run(2), dawn_chorus.load_model(home, '1')\n"
        "scores = run.scores().set_index('recording')\n"
        "for uri in scores.index.unique():\n"
        "    found, expected = model.predict(f'{folder}/{uri}'), scores.loc[[uri]].reset_index(drop=True)\n"
        "    assert found.equals(expected), (uri, found, expected)\n"
        "assert len(scores.index.unique()) == 3\n"
        "print(sorted({'tensorflow', 'keras', 'celery', 'tasks.train'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, home, recordings], capture_output=True, text=True, check=False, cwd=recordings
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix in STORED} == before


def test_the_metadata_name_the_model_its_choice_and_the_lack_of_a_class_for_no_event(predicted: Path) -> None:
    metadata = json.loads((predicted / "metadata.json").read_text("utf-8"))
    assert metadata["model"] == "1:mlp"
    assert metadata["model_choice"] == "mlp, the only classifier of run 1"
    assert "no class for sound without an event" in metadata["warnings"][0]
