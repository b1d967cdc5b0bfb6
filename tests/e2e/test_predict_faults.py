"""Predictions under faults: the same bytes as undisturbed, and every lost recording named. No training."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from domain.states import RunState, State
from orchestrator.broker import QueueMessage, Sender
from orchestrator.planning.network_files import ModelOfFiles, model_of_files
from orchestrator.planning.prediction_plan import PredictionRequest, submit_prediction
from orchestrator.prediction_tables import TableRequest, write_detections
from orchestrator.progress import Snapshot
from orchestrator.session import Session
from tasks.audio.preset import load_preset
from tasks.dataset.layouts.unlabelled import open_recordings
from tests.e2e.way import Way, carried_on, files, home
from tests.onnx_files import FACTS, onnx_file
from tests.recordings import write_tone

TABLES = TableRequest(threshold=0.4, formats=("csv", "raven"))
N_RECORDINGS = 24


@pytest.fixture
def model(tmp_path: Path) -> ModelOfFiles:
    network = onnx_file(replace(FACTS, pipeline_digest=load_preset("birdclef2021").digest))
    (tmp_path / "cnn.onnx").write_bytes(network)
    return model_of_files(str(tmp_path / "cnn.onnx"))


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for number in range(N_RECORDINGS):
        write_tone(tmp_path / "recordings" / f"{number:02}.wav", 1000.0 + 100 * number, 80.0, rate_hz=16_000)
    return tmp_path / "recordings"


def planned(session: Session, recordings: Path, model: ModelOfFiles) -> int:
    model.put_into(session.store)
    layout = open_recordings(recordings, is_trusted=False)
    request = PredictionRequest(model.model, str(recordings))
    return submit_prediction(session.database, layout, request, lambda _: None).run


def tables(session: Session, run: int) -> dict[str, bytes]:
    folder = write_detections(session, run, TABLES).folder
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_wiped_broker_a_killed_worker_and_threefold_messages_change_no_byte(
    recordings: Path, model: ModelOfFiles, tmp_path: Path
) -> None:
    class SendsThrice(Sender):
        def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
            for _ in range(2):
                super().send(task, queue, messages)
            return super().send(task, queue, messages)

    faults: list[str] = []

    def disturb(way: Way, seen: Snapshot) -> None:
        n_done = seen.items[State.DONE]
        if "wiped" not in faults and n_done >= 1:
            way.broker.flushall()
            faults.append("wiped")
        if "killed" not in faults and n_done >= 1 and seen.items[State.RUNNING]:
            os.kill(way.stack.process_id("cpu"), signal.SIGKILL)
            faults.append("killed")

    with home(tmp_path / "calm") as session:
        run = planned(session, recordings, model)
        assert carried_on(session, run, trains=False).run.state == RunState.DONE
        scores, expected = files(session, "scores", "predictions"), tables(session, run)
    with home(tmp_path / "disturbed") as session:
        run = planned(session, recordings, model)
        seen = carried_on(session, run, disturb, SendsThrice, trains=False)
        assert (seen.run.state, seen.items[State.DONE]) == (RunState.DONE, 2 * N_RECORDINGS)
        assert files(session, "scores", "predictions") == scores
        assert tables(session, run) == expected
    assert sorted(faults) == ["killed", "wiped"]
    assert len(expected["detections.csv"].splitlines()) > N_RECORDINGS


def test_recordings_that_change_shrink_or_vanish_after_planning_are_named(
    recordings: Path, model: ModelOfFiles, tmp_path: Path
) -> None:
    with home(tmp_path / "home") as session:
        run = planned(session, recordings, model)
        write_tone(recordings / "01.wav", 5000.0, 80.0, rate_hz=16_000)
        shortened = (recordings / "02.wav").read_bytes()[:1_000_000]
        (recordings / "02.wav").write_bytes(shortened)
        (recordings / "03.wav").unlink()
        assert carried_on(session, run, trains=False).run.state == RunState.DONE
        written = write_detections(session, run, TABLES)
        assert written.written.n_quarantined == 3
        with (written.folder / "quarantine.csv").open(newline="", encoding="utf-8") as file:
            lost = {row["recording"]: row["reason"] for row in csv.DictReader(file)}
        with (written.folder / "detections.csv").open(newline="", encoding="utf-8") as file:
            found = {row["recording"] for row in csv.DictReader(file)}
    assert list(lost) == ["01.wav", "02.wav", "03.wav"]
    assert found.isdisjoint(lost)
    assert "changed" in lost["01.wav"]
    assert "changed" in lost["02.wav"]
    assert "missing" in lost["03.wav"]
