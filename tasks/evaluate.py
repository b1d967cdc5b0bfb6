"""The task that evaluates a trained classifier or generator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import shared_task

from db.queries.job_inputs import needed_results, planned_run
from domain.errors import Impossible
from domain.results import EvaluateResult, FileRole, JobOutput, OutputFile, PackResult, TrainResult
from domain.subsets import Subset, is_unseen
from domain.work import with_result
from tasks.model.variants import WITH_SYNTHETIC
from tasks.model.zoo import entry
from tasks.report.plots.sample_pairs import SamplePairs
from tasks.report.scoring.calibration import expected_error
from tasks.report.scoring.classification import Evaluation, ScoreAccumulator
from tasks.report.scoring.generator_evaluation import Embedded, measure_generator
from tasks.runtime import evaluations
from tasks.runtime.task import LedgerTask, Work, local

_T = TypeVar("_T")


@shared_task(name="evaluate", base=LedgerTask, bind=True, acks_late=False)
def evaluate(self: LedgerTask, message: dict[str, Any]) -> None:
    """Evaluate a trained model on the test subset.

    A classifier is scored by chunk and by recording. A generator's synthetic examples are compared with real ones in
    the embedding of the classifier that evaluates it.
    Reads: the bundle and the shards of the jobs it needs. Writes: the evaluation, the metrics, then the job row.
    Idempotent: the same model on the same shards gives the same scores.
    """
    self.carry_out_job(message, evaluate_model)


def evaluate_model(work: Work) -> JobOutput:
    """Evaluate the model of the job as a classifier or a generator.

    Raises: Impossible and Damaged, as `evaluate_classifier` and `evaluate_generator` do.
    """
    return (evaluate_generator if entry(str(work.claim.model)).is_generator else evaluate_classifier)(work)


def evaluate_classifier(work: Work) -> JobOutput:
    """Evaluate the classifier of the job; return its main scores, and the files of its evaluation and outcomes.

    Raises: Impossible if the test subset has no usable recording; Damaged if the bundle or a shard is not what was
    written.
    """
    from tasks.model.bundle.bundle import read_bundle  # noqa: PLC0415  # Loads TensorFlow, which only a worker's child may do.
    from tasks.model.prediction import predictions  # noqa: PLC0415
    from tasks.model.training.machine import device, prepare_devices  # noqa: PLC0415

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    prepare_devices(run.options.get("device", "auto"))
    needed = needed_results(work.database, work.claim.id)
    [trained] = with_result(needed, TrainResult)
    shards = [local(work, file) for job in with_result(needed, PackResult) for file in job.shards]
    if not shards:
        raise Impossible("the test subset has no usable recording; add recordings or check the quarantine")
    accumulator = ScoreAccumulator(run.labels)
    for predicted in predictions(read_bundle(local(work, trained.bundle)), shards):
        work.require_claim()
        accumulator.add(predicted.probabilities, predicted.truth, predicted.recordings, predicted.groups)
    evaluation = accumulator.evaluation(trained.result.label_counts)
    data = json.dumps(evaluation.as_dict(), sort_keys=True).encode()
    stored = evaluations.write(work.store, data, FileRole.EVALUATION)
    outcomes = evaluations.write(work.store, accumulator.outcomes().to_parquet(), FileRole.OUTCOMES)
    figures = _main_scores(evaluation)
    work.ledger.write_metrics(work.claim, 0, figures)
    return JobOutput(EvaluateResult(stored.key, outcomes.key, None, device(), figures), (stored, outcomes))


def _main_scores(evaluation: Evaluation) -> dict[str, float]:
    by_chunk, by_recording = evaluation.by_chunk, evaluation.by_recording
    return {
        "accuracy": by_chunk.accuracy, "macro_f1": by_chunk.macro_f1,
        "by_recording_accuracy": by_recording.accuracy, "by_recording_macro_f1": by_recording.macro_f1,
        "majority_accuracy": by_chunk.majority_accuracy, "chance_accuracy": by_chunk.chance_accuracy,
        "calibration_error": expected_error(evaluation.calibration),
        "n_chunks": float(by_chunk.n), "n_recordings": float(by_recording.n),
    }  # fmt: skip


def evaluate_generator(work: Work) -> JobOutput:
    """Evaluate the generator of the job; return its metrics, and the files of its evaluation and samples.

    Raises: Impossible if a subset it is compared with has no usable recording; Damaged if the bundle or a shard is not
    what was written.
    """
    from tasks.model.bundle.bundle import read_bundle  # noqa: PLC0415  # Loads TensorFlow, which only a worker's child may do.
    from tasks.model.embedding import embed_originals, embedding_blocks  # noqa: PLC0415
    from tasks.model.training.machine import device, prepare_devices  # noqa: PLC0415

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    prepare_devices(run.options.get("device", "auto"))
    found = _needed_by_generator(work)
    evaluator, subsets = read_bundle(local(work, found.evaluator)), []
    for files in (found.synthetic, found.train, found.held_out):
        work.require_claim()
        subsets.append(embed_originals(evaluator, [local(work, file) for file in files]))
    synthetic, train, held_out = (Embedded(subset.vectors, subset.labels, subset.predicted) for subset in subsets)
    training_vectors = _while_claimed(work, embedding_blocks(evaluator, [local(work, file) for file in found.train]))
    evaluation = measure_generator(run.labels, synthetic, train, held_out, training_vectors)
    samples = SamplePairs.of(subsets[0].spectrograms, subsets[0].labels, subsets[1].spectrograms, subsets[1].labels)
    figures = {**evaluation.metrics(), **found.accuracies}
    stored = evaluations.write(
        work.store, json.dumps(evaluation.as_dict(), sort_keys=True).encode(), FileRole.EVALUATION
    )
    stored_samples = evaluations.write(work.store, samples.to_npz(), FileRole.PICTURES)
    work.ledger.write_metrics(work.claim, 0, figures)
    return JobOutput(EvaluateResult(stored.key, None, stored_samples.key, device(), figures), (stored, stored_samples))


def _while_claimed(work: Work, blocks: Iterator[_T]) -> Iterator[_T]:
    """Yield the blocks; raise as `require_claim` does if another worker has taken over the job."""
    for block in blocks:
        work.require_claim()
        yield block


@dataclass(frozen=True)
class _Needed:
    """Inputs of a generator's evaluation; accuracies: of its evaluator without and with synthetic examples."""

    evaluator: OutputFile
    synthetic: list[OutputFile]
    train: list[OutputFile]
    held_out: list[OutputFile]
    accuracies: dict[str, float]


def _needed_by_generator(work: Work) -> _Needed:
    model, fold = entry(str(work.claim.model)), work.claim.fold
    needed = needed_results(work.database, work.claim.id)
    trained = {(job.model, job.variant): job for job in with_result(needed, TrainResult)}
    evaluated = {(job.model, job.variant): job.result for job in with_result(needed, EvaluateResult)}
    packs = [(is_unseen(job.fold, job.subset, fold), job) for job in with_result(needed, PackResult)]
    accuracies = {
        f"accuracy_{word}": float(evaluated[model.evaluator, variant].figures["by_recording_accuracy"])
        for word, variant in (("without", None), ("with", WITH_SYNTHETIC))
    }
    return _Needed(
        evaluator=trained[model.evaluator, None].bundle,
        synthetic=trained[model.name, None].synthetic_shards,
        train=[file for is_test, job in packs if not is_test and job.subset == Subset.TRAIN for file in job.shards],
        held_out=[file for is_test, job in packs if is_test for file in job.shards],
        accuracies=accuracies,
    )
