"""A model and unseen shards to scores; a generator and real ones to how alike its examples are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from celery import shared_task

from db.queries.job_inputs import needed_results, planned_run
from domain.errors import Impossible
from domain.results import EvaluateResult, FileRole, JobOutput, LeftFile, PackResult, TrainResult
from domain.subsets import Subset, is_unseen
from domain.work import with_result
from tasks.model.variants import WITH_SYNTHETIC
from tasks.model.zoo import entry
from tasks.report.plots.pictures import PicturePairs
from tasks.report.scoring.calibration import expected_error
from tasks.report.scoring.classification import Evaluation, Judge
from tasks.report.scoring.likeness import Embedded, judged_likeness
from tasks.runtime import evaluations
from tasks.runtime.task import LedgerTask, Work, local

_T = TypeVar("_T")


@shared_task(name="evaluate", base=LedgerTask, bind=True, acks_late=False)
def evaluate(self: LedgerTask, message: dict[str, Any]) -> None:
    """A trained model's predictions on the test side, judged by chunk and by recording.

    Of a generator: its synthetic examples beside real ones, as the classifier sees them that it names as its judge.
    Reads: the bundle and the shards of the jobs it needs. Writes: the evaluation, its figures, then the job row.
    Safe to repeat because the same model on the same shards scores the same.
    """
    self.carry_out_job(message, judged_in_store)


def judged_in_store(work: Work) -> JobOutput:
    """Judges the job's model as its kind is judged; see the two functions below."""
    return (likeness_in_store if entry(str(work.claim.model)).is_generator else evaluation_in_store)(work)


def evaluation_in_store(work: Work) -> JobOutput:
    """Judges the job's model; returns the evaluation's files and its main figures.

    Raises Impossible when the test side holds no usable recording.
    """
    from tasks.model.bundle.bundle import read_bundle  # noqa: PLC0415  # TensorFlow, which a worker's parent never loads
    from tasks.model.prediction import predictions  # noqa: PLC0415
    from tasks.model.training.machine import device, prepare_devices  # noqa: PLC0415

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    prepare_devices(run.options.get("device", "auto"))
    needed = needed_results(work.database, work.claim.id)
    [trained] = with_result(needed, TrainResult)
    shards = [local(work, file) for job in with_result(needed, PackResult) for file in job.shards]
    if not shards:
        raise Impossible("no usable recording is left on the test side; there is nothing to judge the model on")
    judge = Judge(run.labels)
    for predicted in predictions(read_bundle(local(work, trained.bundle)), shards):
        work.require_claim()
        judge.add(predicted.probabilities, predicted.truth, predicted.recordings, predicted.groups)
    evaluation = judge.evaluation(trained.result.label_counts)
    of_classes = json.dumps(evaluation.as_dict(), sort_keys=True).encode()
    kept = evaluations.keep(work.store, of_classes, FileRole.EVALUATION)
    outcomes = evaluations.keep(work.store, judge.outcomes().to_parquet(), FileRole.OUTCOMES)
    figures = _figures(evaluation)
    work.ledger.write_metrics(work.claim, 0, figures)
    return JobOutput(EvaluateResult(kept.key, outcomes.key, None, device(), figures), (kept, outcomes))


def _figures(evaluation: Evaluation) -> dict[str, float]:
    by_chunk, by_recording = evaluation.by_chunk, evaluation.by_recording
    return {
        "accuracy": by_chunk.accuracy, "macro_f1": by_chunk.macro_f1,
        "by_recording_accuracy": by_recording.accuracy, "by_recording_macro_f1": by_recording.macro_f1,
        "majority_accuracy": by_chunk.majority_accuracy, "chance_accuracy": by_chunk.chance_accuracy,
        "calibration_error": expected_error(evaluation.calibration),
        "n_chunks": float(by_chunk.n), "n_recordings": float(by_recording.n),
    }  # fmt: skip


def likeness_in_store(work: Work) -> JobOutput:
    """Judges the job's generator; returns the files of its measures and of some pictures, and its main figures.

    Raises Impossible when a side it is compared with holds no usable recording.
    """
    from tasks.model.bundle.bundle import read_bundle  # noqa: PLC0415  # TensorFlow, which a worker's parent never loads
    from tasks.model.embedding import seen_by, vectors_of  # noqa: PLC0415
    from tasks.model.training.machine import device, prepare_devices  # noqa: PLC0415

    run = planned_run(work.database, work.claim.run, work.claim.pipeline_id)
    prepare_devices(run.options.get("device", "auto"))
    found = _needed_by_generator(work)
    judge, sides = read_bundle(local(work, found.judge)), []
    for files in (found.synthetic, found.train, found.held_out):
        work.require_claim()
        sides.append(seen_by(judge, [local(work, file) for file in files]))
    synthetic, train, held_out = (Embedded(side.vectors, side.labels, side.answers) for side in sides)
    learnt_from = _while_claimed(work, vectors_of(judge, [local(work, file) for file in found.train]))
    likeness = judged_likeness(run.labels, synthetic, train, held_out, learnt_from)
    pictures = PicturePairs.of(sides[0].pictures, sides[0].labels, sides[1].pictures, sides[1].labels)
    figures = {**likeness.figures(), **found.accuracies}
    kept = evaluations.keep(work.store, json.dumps(likeness.as_dict(), sort_keys=True).encode(), FileRole.EVALUATION)
    drawn = evaluations.keep(work.store, pictures.to_npz(), FileRole.PICTURES)
    work.ledger.write_metrics(work.claim, 0, figures)
    return JobOutput(EvaluateResult(kept.key, None, drawn.key, device(), figures), (kept, drawn))


def _while_claimed(work: Work, blocks: Iterator[_T]) -> Iterator[_T]:
    """The blocks; raises as `require_claim` does, before the next one, when another worker has taken the job over."""
    for block in blocks:
        work.require_claim()
        yield block


@dataclass(frozen=True)
class _Needed:
    """The judge's bundle, and shards; accuracies of the judge without and with the synthetic examples."""

    judge: LeftFile
    synthetic: list[LeftFile]
    train: list[LeftFile]
    held_out: list[LeftFile]
    accuracies: dict[str, float]


def _needed_by_generator(work: Work) -> _Needed:
    model, fold = entry(str(work.claim.model)), work.claim.fold
    needed = needed_results(work.database, work.claim.id)
    trained = {(job.model, job.variant): job for job in with_result(needed, TrainResult)}
    evaluated = {(job.model, job.variant): job.result for job in with_result(needed, EvaluateResult)}
    packs = [(is_unseen(job.fold, job.subset, fold), job) for job in with_result(needed, PackResult)]
    accuracies = {
        f"accuracy_{word}": float(evaluated[model.judge, variant].figures["by_recording_accuracy"])
        for word, variant in (("without", None), ("with", WITH_SYNTHETIC))
    }
    return _Needed(
        judge=trained[model.judge, None].bundle,
        synthetic=trained[model.name, None].synthetic_shards,
        train=[file for is_test, job in packs if not is_test and job.subset == Subset.TRAIN for file in job.shards],
        held_out=[file for is_test, job in packs if is_test for file in job.shards],
        accuracies=accuracies,
    )
