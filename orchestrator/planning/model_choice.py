"""Which trained networks predict: `3` is run 3's recommended model, `3:cnn` its model cnn, `3:cnn:fold2` one fold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from statistics import fmean
from typing import Any, TypeVar

from db.engine import Database
from db.queries.job_inputs import planned_run, results
from db.queries.status import JobStatus, metrics
from db.store.interface import Store
from domain.errors import MachineFault, UsageError
from domain.plural import counted
from domain.results import FileRole, OutputFile, TrainResult
from domain.states import Kind, State
from domain.work import FinishedJob, JobFacts, with_result
from orchestrator.progress import fold_number, snapshot
from tasks.audio.preset import Preset
from tasks.detections.default_thresholds import default_thresholds
from tasks.detections.detection_tables import Threshold
from tasks.model.prediction_pipeline import NetworkFile, PredictionPipeline, for_prediction
from tasks.model.validation_counts import ValidationCounts
from tasks.model.zoo import is_generator

_REFERENCE = re.compile(r"(\d{1,9})(?::([a-z_]\w*))?(?::fold(\d{1,4}))?", re.ASCII)
_Trained = FinishedJob[TrainResult]
_Job = TypeVar("_Job", bound=JobFacts)


@dataclass(frozen=True)
class ChosenModel:
    """The networks that predict. name: for tables, such as "3:cnn".  choice: why it was chosen, as a sentence.

    run, fold: where it was trained; None if it was trained elsewhere, and for a model of all folds.
    validation: how each network scored its validation subset; fewer files than networks if an earlier version
    trained one.
    """

    name: str
    choice: str
    labels: tuple[str, ...]
    pipeline: PredictionPipeline
    _: KW_ONLY
    run: int | None = None
    fold: int | None = None
    validation: tuple[OutputFile, ...] = ()


def is_reference(text: str) -> bool:
    """Whether the text names a run, its model or one fold; not whether there is one."""
    return _REFERENCE.fullmatch(text) is not None


def chosen_model(database: Database, text: str) -> ChosenModel:
    """Return the model that a reference names.

    Raises: UsageError if the text is no reference, the run has no such model, or the model cannot predict recordings;
    UnknownRun if there is no such run.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--model {text!r:.80} names no model; give a run (3), its model (3:cnn), one fold (3:cnn:fold2), or an "
            "exported network (cnn.onnx)"
        )
    run, model, fold = int(match[1]), match[2], match[3]
    planned = [job for job in snapshot(database, run).jobs if job.kind == Kind.TRAIN and _is_classifier(job)]
    trained = [job for job in with_result(results(database, run), TrainResult) if _is_classifier(job)]
    if not trained:
        raise UsageError(f"run {run} has no trained classifier; `orchestrator status {run}` says how far it came")
    model, choice = _model(database, run, model, trained, planned)
    jobs = _of(trained, model, fold)
    if not jobs:
        raise UsageError(f"run {run} has no fold {fold} of {model}; its folds are {_folds(trained, model)}")
    if (n_planned := len(_of(planned, model, fold))) > len(jobs):
        choice += f"; only {len(jobs)} of its {n_planned} trainings are done"
    chosen = _chosen(database, run, f"{run}:{model}" + (f":fold{fold}" if fold else ""), choice, jobs)
    return replace(chosen, run=run, fold=int(fold) if fold else None)


def validated_thresholds(store: Store, model: ChosenModel) -> tuple[Threshold, ...]:
    """Return a threshold for each class from the validation scores of all networks of the model.

    Raises: MachineFault if the store does not hold those of one; Damaged if they are not what was written.
    """
    pooled: ValidationCounts | None = None
    if len(model.validation) == len(model.pipeline.networks):
        for file in model.validation:
            counts = _counts(store, file, model)
            pooled = counts if pooled is None else pooled + counts
    return default_thresholds(model.labels, pooled)


def _counts(store: Store, file: OutputFile, model: ChosenModel) -> ValidationCounts:
    try:
        return ValidationCounts.from_bytes(store.get(file.key, file.sha256))
    except FileNotFoundError as error:
        run = model.name.partition(":")[0]
        raise MachineFault(
            f"{file.key} is not in the store; `orchestrator doctor --repair` and then `orchestrator retry {run}` make "
            "it again without a training"
        ) from error


def _is_classifier(job: JobFacts) -> bool:
    return job.variant is None and not is_generator(str(job.model))


def _of(jobs: Sequence[_Job], model: str, fold: str | None) -> list[_Job]:
    return [job for job in jobs if job.model == model and fold in (None, str(fold_number(job.fold)))]


def _model(
    database: Database, run: int, wanted: str | None, trained: Sequence[_Trained], planned: Sequence[JobStatus]
) -> tuple[str, str]:
    """The model's name and why it is chosen."""
    names = list(dict.fromkeys(str(job.model) for job in planned))
    done = {str(job.model) for job in trained}
    if wanted is not None:
        if wanted not in done:
            raise UsageError(f"run {run} has no trained model {wanted}; it has {', '.join(sorted(done))}")
        return wanted, f"{wanted} of run {run}, as asked for"
    if len(names) == 1:
        return names[0], f"{names[0]}, the only classifier of run {run}"
    if unfinished := list(dict.fromkeys(f"{job.model}" for job in planned if job.state != State.DONE)):
        raise UsageError(
            f"run {run} has several models, and {', '.join(unfinished)} is not trained yet, so none can be "
            f"recommended; choose one: --model {run}:{sorted(done)[0]}"
        )
    scores = {name: _validation(database, [job for job in trained if job.model == name]) for name in names}
    known = {name: score for name, score in scores.items() if score is not None}
    if len(known) < len(names):
        unknown = ", ".join(name for name in names if name not in known)
        raise UsageError(
            f"run {run} has several models, and {unknown} trained without a validation subset, so none can be "
            f"recommended without looking at test scores; choose one: --model {run}:{names[0]}"
        )
    best = max(known, key=lambda name: known[name])
    listed = ", ".join(f"{name} {100 * score:.1f} %" for name, score in known.items())
    return best, f"{best} of run {run}: the highest accuracy on the validation subset ({listed})"


def _validation(database: Database, jobs: Sequence[_Trained]) -> float | None:
    """The mean accuracy on the validation subset, at the epoch whose weights were kept; None if it is not known."""
    found = []
    for job in jobs:
        at = job.result.best_epoch
        values = [value for epoch, name, value in metrics(database, job.id) if epoch == at and name == "val_accuracy"]
        if not values:
            return None
        found += values
    return fmean(found)


def _folds(trained: Sequence[_Trained], model: str) -> str:
    numbers = sorted({n for job in trained if job.model == model and (n := fold_number(job.fold)) is not None})
    return ", ".join(map(str, numbers)) or "none: it was trained without folds"


def _chosen(database: Database, run: int, name: str, choice: str, jobs: Sequence[_Trained]) -> ChosenModel:
    networks = []
    for job in jobs:
        file = next((file for file in job.files if file.role == FileRole.NETWORK), None)
        if file is None or file.sha256 is None:
            raise UsageError(
                f"run {run} left no exported network of {job.model}: an older version trained it, or the export "
                f"failed; train it again, `orchestrator status {run}` shows its notes"
            )
        networks.append(NetworkFile(file.key, file.sha256))
    planned = planned_run(database, run, jobs[0].pipeline_id)
    preset = require_predictable(name, planned.preset, planned.pipeline_digest, jobs[0].result.features)
    pipeline = PredictionPipeline(for_prediction(preset), tuple(networks))
    validation = tuple(file for job in jobs for file in job.files if file.role == FileRole.VALIDATION)
    return ChosenModel(name, choice + choice_of_mean(len(networks)), planned.labels, pipeline, validation=validation)


def choice_of_mean(n_networks: int) -> str:
    """The end of the sentence of a choice: that several networks predict together."""
    return f"; scores are the mean of its {counted(n_networks, 'network')}" if n_networks > 1 else ""


def require_predictable(name: str, preset: Mapping[str, Any], pipeline_digest: str, features: str | None) -> Preset:
    """Return the preset of a model that can predict recordings.

    preset, pipeline_digest: of the training.  features: the set of features that it reads; None if it reads none.
    Raises: UsageError if it reads place and time, or was trained on spectrograms of an earlier version.
    """
    if (features or "audio") != "audio":
        raise UsageError(
            f"{name} reads the place and the time of each recording, which predictions do not read; use a model "
            "that was trained with --features audio"
        )
    found = Preset.from_dict(dict(preset))
    if found.digest != pipeline_digest:
        raise UsageError(
            f"{name} was trained on spectrograms of an earlier version, which this version makes differently; train it "
            "again"
        )
    return found
