"""Views of models for the page, each collected from the jobs of all its folds and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tasks.dataset.split import leaky
from tasks.report.data import JobReport, Plain, training_parameters
from tasks.report.plots.confusion import confusion_figure
from tasks.report.plots.curves import best_epoch, calibration_curve, class_bars, learning_curve
from tasks.report.scoring.calibration import expected_error, pooled_bins
from tasks.report.scoring.classification import (
    ClassScore,
    Confusion,
    Evaluation,
    MeanScores,
    Misclassification,
    class_scores,
    confusion_table,
    mean_over_trainings,
    most_confused,
    pooled_confusion,
    top_confusions,
)
from tasks.report.scoring.confident_errors import most_confident_errors, n_errors
from tasks.report.scoring.model_outcomes import chunk_interval, model_outcomes, recording_interval
from tasks.report.scoring.pairing import compared, holm

MOST_DRAWN = 200
"""Number of classes up to which figures show each class. The time and memory of a figure grow with their square."""
_MOST_CONFUSED = 40  # so that the cells of their matrix still hold numbers
_SIGNIFICANT = 0.05

_Key = tuple[int | None, int | None]  # fold and seed


@dataclass(frozen=True)
class TrainingView:
    """One training of a model with its results.  fold, seed: numbers in the plan, None without."""

    name: str
    fold: int | None
    seed: int | None
    evaluation: Evaluation | None
    epochs: int
    best_epoch: int | None
    device: str
    train_s: float


@dataclass(frozen=True)
class PooledResults:
    """Results of a model pooled over the folds of its first evaluated seed.

    Other seeds test the same chunks again, so pooling one seed counts each chunk once.
    n_confusions: pairs of classes with a wrong prediction, of which `top_confusions` are some.
    seed: the pooled seed.  n_folds, n_seeds: number of evaluated folds and seeds.
    confusion: an SVG of all classes, or of the `n_drawn` most confused of many; "" if none of many was confused.
    bars: an SVG, "" for many classes.
    """

    seed: int | None
    n_folds: int
    n_seeds: int
    labels: tuple[str, ...]
    classes: tuple[tuple[str, ClassScore], ...]
    untested: tuple[str, ...]
    table: str
    bars: str
    confusion: str
    n_drawn: int
    calibration: str
    calibration_error: float
    top_confusions: tuple[Confusion, ...]
    n_confusions: int
    n_chunks: int
    n_recordings: int


@dataclass(frozen=True)
class ComparisonToBest:
    """The difference between a model and the best one, by recording, over all folds and the mean of the seeds.

    difference: of the accuracies by recording; it may be above 0 because the best model is selected by chunk.
    p: of the paired test, adjusted for the number of comparisons (Holm).
    """

    difference: float
    p: float
    n_groups: int

    @property
    def is_significant(self) -> bool:
        """True if p < 0.05."""
        return self.p < _SIGNIFICANT


@dataclass(frozen=True)
class ModelView:
    """One row of the score table and one section of the page.

    failures: one sentence per failed or cancelled job.  notes: of its trainings, each once.
    n_errors: misclassified recordings of the first seed, of which `confident_errors` are some.
    interval, recording_interval: 95 % confidence interval of the accuracy by chunk and by recording, over the groups of
    all folds, each group averaged over the seeds; None if no training was evaluated.
    confident_errors: its most confident errors.
    versus_best: None for the best model, and if no group is common.
    """

    name: str
    trainings: tuple[TrainingView, ...]
    scores: MeanScores | None
    pooled: PooledResults | None
    loss_curve: str = ""
    accuracy_curve: str = ""
    failures: tuple[str, ...] = ()
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    recording_interval: tuple[float, float] | None = None
    confident_errors: tuple[Misclassification, ...] = ()
    versus_best: ComparisonToBest | None = None
    has_validation: bool = True
    notes: tuple[str, ...] = ()
    n_errors: int = 0

    @property
    def n_parameters(self) -> int | None:
        """Number of weights, None if no training finished."""
        found = self.parameters.get("parameters")
        return int(found) if isinstance(found, int | float) else None

    @property
    def train_s(self) -> float:
        """Total seconds of all trainings."""
        return sum(training.train_s for training in self.trainings)

    @property
    def evaluated_trainings(self) -> tuple[TrainingView, ...]:
        """The trainings with a score."""
        return tuple(training for training in self.trainings if training.evaluation)

    @property
    def is_no_better_than_guessing(self) -> bool:
        """True if the accuracy is not significantly above that of always predicting the most frequent class."""
        if self.scores is None:
            return True
        margin = self.scores.accuracy.deviation or 0.0
        low = self.interval[0] if self.interval else self.scores.accuracy.mean - margin
        return low <= self.scores.majority_accuracy.mean


def model_views(jobs: Sequence[JobReport]) -> tuple[ModelView, ...]:
    """Return one view per model, sorted by descending accuracy by chunk, models without a score last.

    jobs: all jobs of the run, in any order; jobs without a model and jobs of variants are ignored.
    Raises: Impossible if the folds of a model were evaluated with different labels.
    """
    jobs = [job for job in jobs if job.variant is None]
    names = dict.fromkeys(job.model for job in jobs if job.model)
    views = [_model_view(name, [job for job in jobs if job.model == name]) for name in names]
    ranked = sorted(views, key=lambda view: -view.scores.accuracy.mean if view.scores else 1.0)
    return tuple(_compared_with_first(ranked, jobs))


def _compared_with_first(ranked: Sequence[ModelView], jobs: Sequence[JobReport]) -> Iterator[ModelView]:
    outcomes = {view.name: model_outcomes(view.name, jobs) for view in ranked}
    found = {view.name: compared(outcomes[view.name], outcomes[ranked[0].name]) for view in ranked[1:]}
    known = {name: comparison for name, comparison in found.items() if comparison}
    ps = dict(zip(known, holm([comparison.p for comparison in known.values()]), strict=True))
    for view in ranked:
        comparison = known.get(view.name)
        versus = ComparisonToBest(comparison.difference, ps[view.name], comparison.n_groups) if comparison else None
        yield replace(view, versus_best=versus)


def _model_view(name: str, jobs: Sequence[JobReport]) -> ModelView:
    keys = sorted({(job.fold, job.seed) for job in jobs}, key=_sort_key)
    trainings = tuple(_training_view(key, [job for job in jobs if (job.fold, job.seed) == key], keys) for key in keys)
    evaluations = [training.evaluation for training in trainings if training.evaluation]
    outcomes = model_outcomes(name, jobs).values()
    histories = [job.history for job in sorted(jobs, key=lambda job: _sort_key((job.fold, job.seed))) if job.history]
    return ModelView(
        name=name,
        trainings=trainings,
        scores=mean_over_trainings(evaluations) if evaluations else None,
        pooled=_pooled(trainings) if evaluations else None,
        loss_curve=learning_curve(histories, "loss"),
        accuracy_curve=learning_curve(histories, "accuracy"),
        has_validation=any("val_loss" in row for history in histories for row in history),
        interval=chunk_interval(outcomes),
        recording_interval=recording_interval(outcomes),
        confident_errors=most_confident_errors(name, jobs),
        failures=tuple(failure_line(job) for job in jobs if has_failed(job)),
        parameters=training_parameters(jobs),
        notes=tuple(dict.fromkeys(note for job in jobs for note in job.notes)),
        n_errors=n_errors(name, jobs),
    )


def _sort_key(key: _Key) -> tuple[int, int]:
    return (key[0] or 0, key[1] or 0)


def _training_view(key: _Key, jobs: Sequence[JobReport], keys: Sequence[_Key]) -> TrainingView:
    fold, seed = key
    seeds = {other_seed for _, other_seed in keys}
    name = "single split" if fold is None else f"fold {fold}"
    history = next((job.history for job in jobs if job.history), ())
    return TrainingView(
        name=f"{name}, seed {seed}" if len(seeds) > 1 else name,
        fold=fold,
        seed=seed,
        evaluation=next((job.evaluation for job in jobs if job.evaluation), None),
        epochs=len(history),
        best_epoch=best_epoch(history),
        device=next((job.device for job in jobs if job.device), ""),
        train_s=sum(sum(job.timings.values()) for job in jobs if job.kind == "train"),
    )


def _pooled(trainings: Sequence[TrainingView]) -> PooledResults:
    seeds = sorted({training.seed for training in trainings if training.evaluation}, key=lambda seed: seed or 0)
    evaluations = [each.evaluation for each in trainings if each.evaluation and each.seed == seeds[0]]
    labels = evaluations[0].labels
    confusion = pooled_confusion(evaluations)
    bins = pooled_bins([evaluation.calibration for evaluation in evaluations])
    classes = tuple(zip(labels, class_scores(confusion), strict=True))
    are_many = len(labels) > MOST_DRAWN
    drawn = most_confused(confusion, _MOST_CONFUSED) if are_many else list(range(len(labels)))
    row_sums = confusion.sum(axis=1)[drawn] if are_many else None
    return PooledResults(
        seed=seeds[0],
        n_folds=len(evaluations),
        n_seeds=len(seeds),
        labels=labels,
        classes=classes,
        untested=tuple(label for label, row in classes if row.support == 0),
        table=confusion_table(confusion, labels),
        bars="" if are_many else class_bars([(label, row.f1, row.support) for label, row in classes]),
        confusion=confusion_figure(confusion[np.ix_(drawn, drawn)], [labels[each] for each in drawn], row_sums)
        if drawn
        else "",
        n_drawn=len(drawn),
        calibration=calibration_curve(bins),
        calibration_error=expected_error(bins),
        top_confusions=top_confusions(confusion, labels),
        n_confusions=int(np.count_nonzero(confusion) - np.count_nonzero(np.diag(confusion))),
        n_chunks=int(confusion.sum()),
        n_recordings=sum(each.by_recording.n for each in evaluations),
    )


@dataclass(frozen=True)
class Leak:
    """One model's accuracies by chunk, 0..1: on shuffled chunks, and on unseen recordings."""

    model: str
    claimed: float
    honest: float


def leaks(views: Sequence[ModelView], jobs: Sequence[JobReport]) -> tuple[Leak, ...]:
    """Return the leak meter's result for each model evaluated in both ways, in the order of the views."""
    shuffled = [job for job in jobs if job.variant == leaky.VARIANT and job.evaluation]
    claimed = {job.model: job.evaluation.by_chunk.accuracy for job in shuffled if job.evaluation}
    return tuple(
        Leak(view.name, claimed[view.name], view.scores.accuracy.mean)
        for view in views
        if view.scores and view.name in claimed
    )


def has_failed(job: JobReport) -> bool:
    """Return True if the job failed or was cancelled."""
    return job.state in {"failed", "cancelled"}


def failure_line(job: JobReport) -> str:
    """Describe a failed or cancelled job in one clause.

    >>> failure_line(JobReport("train", "failed", model="cnn", fold=0, reason="loss is not a number"))
    'train cnn, fold 0, failed: loss is not a number'
    """
    name = " ".join(filter(None, (job.kind, job.model, job.variant))) + (
        f", fold {job.fold}," if job.fold is not None else ""
    )
    return f"{name} {job.state}" + (f": {job.reason}" if job.reason else "")
