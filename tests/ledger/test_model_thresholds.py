"""The default thresholds of a prediction: from the trainings' files to the tables of a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.engine import Database
from db.ledger.claims import Ledger
from db.queries import status
from db.queries.job_inputs import planned_run
from db.schema.upgrade import upgrade
from db.store.folder import FolderStore
from domain.digests import content_digest
from domain.errors import Damaged, MachineFault
from domain.results import FileRole, JobOutput, OutputFile, TrainResult
from domain.states import Kind, State
from orchestrator.planning.model_choice import ChosenModel, chosen_model, validated_thresholds
from orchestrator.planning.prediction_plan import PredictionRequest, submit_prediction
from orchestrator.planning.request import Request
from orchestrator.planning.submit import submit
from orchestrator.prediction_tables import planned_thresholds
from tasks.audio.preset import load_preset
from tasks.dataset.layouts.unlabelled import open_recordings
from tasks.detections.detection_tables import Threshold, ThresholdSource
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction
from tasks.model.validation_counts import ValidationCounts
from tests.recordings import write_class_folders, write_tone

LABELS = ("high", "low")
PRECISE = "precision 1.000 on validation: 40 of 40 detections of 2 networks are right"


def counts_file(store: FolderStore, score: float) -> OutputFile:
    """What a training leaves whose network gave the right class that score, in 20 windows of each class."""
    truth = np.repeat([0, 1], 20)
    scores = np.where(truth[:, np.newaxis] == [0, 1], score, 1 - score).astype(np.float32)
    data = ValidationCounts.of(2, [(scores, truth)]).to_bytes()
    file = OutputFile(f"validation/{content_digest(data)[:32]}.npz", FileRole.VALIDATION, len(data))
    store.put(file.key, data)
    return OutputFile(file.key, file.role, len(data), content_digest(data))


def model(n_networks: int, *validation: OutputFile) -> ChosenModel:
    networks = tuple(NetworkFile(f"networks/{n}.onnx", f"{n}" * 64) for n in range(n_networks))
    pipeline = PredictionPipeline(for_prediction(load_preset("birdclef2021")), networks)
    return ChosenModel("1:cnn", "cnn, the only classifier of run 1", LABELS, pipeline, validation=validation)


def trained_run(database: Database, store: FolderStore, folder: Path, *, seeds: tuple[int, ...]) -> int:
    """A run whose trainings are done, each with a network and with scores of its own on validation."""
    data = write_class_folders(folder / "data", {"high": 6000.0, "low": 1000.0}, per_label=6, seconds=0.2)
    run = submit(database, data, Request(("mlp",), seeds=seeds), lambda _: None).run
    ledger = Ledger(database, "w1", 60.0)
    for job in status.jobs(database, run):
        if job.kind == Kind.TRAIN:
            claim = ledger.claim_job(run, job.id, Kind.TRAIN)
            assert claim is not None
            network = OutputFile(f"networks/{job.seed}.onnx", FileRole.NETWORK, 1, f"{job.seed}" * 64)
            files = (network, counts_file(store, 0.75 + (job.seed or 0) / 10))
            assert ledger.settle_job(claim, State.DONE, None, JobOutput(TrainResult(f"models/{job.seed}"), files))
    return run


def test_the_thresholds_of_a_model_pool_the_validation_of_all_its_networks(database: Database, tmp_path: Path) -> None:
    upgrade(database)
    store = FolderStore(tmp_path / "store")
    chosen = chosen_model(database, f"{trained_run(database, store, tmp_path, seeds=(0, 1))}")
    assert validated_thresholds(store, chosen) == (Threshold(0.75, PRECISE, ThresholdSource.VALIDATION),) * 2


def test_a_network_without_validation_scores_leaves_no_precision_to_claim(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    for found in (
        validated_thresholds(store, model(2, counts_file(store, 0.9))),
        validated_thresholds(store, model(1)),
    ):
        assert {(each.value, each.source) for each in found} == {(0.5, ThresholdSource.DEFAULT)}
        assert "an earlier version trained the model" in found[0].why


def test_validation_scores_that_are_gone_or_changed_are_refused_with_the_remedy(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    left = counts_file(store, 0.9)
    store.local(left.key).write_bytes(b"x")
    with pytest.raises(Damaged, match=f"{left.key} is not what was written"):
        validated_thresholds(store, model(1, left))
    store.remove(left.key)
    with pytest.raises(MachineFault, match=r"`orchestrator doctor --repair` and then `orchestrator retry 1` make it"):
        validated_thresholds(store, model(1, left))


def planned_with(database: Database, folder: Path, thresholds: tuple[Threshold, ...]) -> int:
    path = write_tone(folder / "data" / "a.wav", 1000.0, 5.0)
    request = PredictionRequest(model(1), str(path), thresholds=thresholds)
    return submit_prediction(database, open_recordings(path, is_trusted=False), request, lambda _: None).run


def test_a_prediction_keeps_its_thresholds_for_later_tables(database: Database, tmp_path: Path) -> None:
    upgrade(database)
    kept = (Threshold(0.25, "precision 0.95 on validation", ThresholdSource.VALIDATION), Threshold(0.5, "default 0.5"))
    run = planned_with(database, tmp_path, kept)
    assert tuple(planned_thresholds(planned_run(database, run))) == kept


def test_a_prediction_of_an_earlier_version_has_the_default_and_says_so(database: Database, tmp_path: Path) -> None:
    upgrade(database)
    run = planned_with(database, tmp_path, ())
    found = planned_thresholds(planned_run(database, run))
    assert [each.value for each in found] == [0.5, 0.5]
    assert "an earlier version" in found[0].why
