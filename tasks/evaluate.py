"""A model and unseen shards to scores."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from celery import shared_task

from db.reading import needed_results, run_facts
from db.states import Kind
from tasks.failures import Impossible
from tasks.report.calibration import expected_error
from tasks.report.metrics import Evaluation, Judge
from tasks.stage import Stage, Work, local


@shared_task(name="evaluate", base=Stage, bind=True, acks_late=False)
def evaluate(self: Stage, message: dict[str, Any]) -> None:
    """A trained model's predictions on the test side, judged by chunk and by recording.

    Reads: the bundle and the shards of the jobs it needs. Writes: the evaluation, its figures, then the job row.
    Safe to repeat because the same model on the same shards scores the same.
    """
    self.carry_out_job(message, evaluation_in_store)


def evaluation_in_store(work: Work) -> dict[str, Any]:
    """Judges the job's model; returns the evaluation's key in the store and its main figures.

    Raises Impossible when the test side holds no usable recording.
    """
    from tasks.model.bundle import read_bundle  # noqa: PLC0415  # TensorFlow, which a worker's parent never loads
    from tasks.model.machine import device, prepare_devices  # noqa: PLC0415
    from tasks.model.prediction import predictions  # noqa: PLC0415

    run = run_facts(work.database, work.claim.run, work.claim.pipeline_id)
    assert run is not None  # noqa: S101  # a job's row refers to its run's
    prepare_devices(run.options.get("device", "auto"))
    needed = needed_results(work.database, work.claim.id)
    trained = next(job for job in needed if job.kind == Kind.TRAIN)
    shards = [local(work, key) for job in needed if job.kind == Kind.PACK for key in job.result["shards"]]
    if not shards:
        raise Impossible("no usable recording is left on the test side; there is nothing to judge the model on")
    judge = Judge(run.labels)
    for predicted in predictions(read_bundle(local(work, trained.result["key"])), shards):
        work.require_claim()
        judge.add(predicted.probabilities, predicted.truth, predicted.recordings, predicted.groups)
    counts = {int(label): n for label, n in trained.result["label_counts"].items()}
    evaluation = judge.evaluation(counts)
    data = json.dumps(evaluation.as_dict(), sort_keys=True).encode()
    key = f"evaluations/{hashlib.sha256(data).hexdigest()[:32]}.json"
    work.store.put(key, data)
    outcomes = judge.outcomes().to_parquet()
    outcomes_key = f"evaluations/{hashlib.sha256(outcomes).hexdigest()[:32]}.parquet"
    work.store.put(outcomes_key, outcomes)
    figures = _figures(evaluation)
    work.ledger.write_metrics(work.claim, 0, figures)
    return {"key": key, "outcomes_key": outcomes_key, "device": device(), **figures}


def _figures(evaluation: Evaluation) -> dict[str, float]:
    by_chunk, by_recording = evaluation.by_chunk, evaluation.by_recording
    return {
        "accuracy": by_chunk.accuracy, "macro_f1": by_chunk.macro_f1,
        "by_recording_accuracy": by_recording.accuracy, "by_recording_macro_f1": by_recording.macro_f1,
        "majority_accuracy": by_chunk.majority_accuracy, "chance_accuracy": by_chunk.chance_accuracy,
        "calibration_error": expected_error(evaluation.calibration),
        "n_chunks": float(by_chunk.n), "n_recordings": float(by_recording.n),
    }  # fmt: skip
