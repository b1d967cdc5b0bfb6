"""The jobs of one model, over all its folds and seeds, gathered into what the page says about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tasks.dataset.split import leaky
from tasks.report.data import JobReport, Plain, trained_with
from tasks.report.plots.confusion import confusion_figure
from tasks.report.plots.curves import best_epoch, calibration_curve, class_bars, learning_curve
from tasks.report.scoring.calibration import expected_error, pooled_bins
from tasks.report.scoring.classification import (
    ClassScore,
    Confusion,
    Evaluation,
    MeanScores,
    Mistake,
    class_scores,
    confusion_table,
    mean_over_trainings,
    pooled_confusion,
    top_confusions,
)
from tasks.report.scoring.mistakes import surest_mistakes
from tasks.report.scoring.pairing import compared, holm
from tasks.report.scoring.pooled import chunk_interval, pooled_outcomes, recording_interval

_SIGNIFICANT = 0.05

_Key = tuple[int | None, int | None]  # fold and seed


@dataclass(frozen=True)
class TrainingView:
    """One training of a model, and what came of it. fold, seed: as the plan numbers them, None where it has none."""

    name: str
    fold: int | None
    seed: int | None
    evaluation: Evaluation | None
    epochs: int
    best_epoch: int | None
    device: str
    train_s: float


@dataclass(frozen=True)
class Judged:
    """What is only there when at least one training was judged: the folds of its first seed, pooled.

    Each chunk is tested once in the folds of a seed, and again in those of the next one: of one seed, nothing is
    counted twice.  seed: that seed.  n_folds, n_seeds: how many of them were judged at all.
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
    calibration: str
    calibration_error: float
    top_confusions: tuple[Confusion, ...]
    n_chunks: int
    n_recordings: int


@dataclass(frozen=True)
class Versus:
    """A model against the best one, by recording, over the folds of their first seed.

    difference: of the accuracies; above 0 where recordings rank the two another way than chunks, which chose the best.
    p: of the paired test, made larger for the number of comparisons (Holm).
    """

    difference: float
    p: float
    n_groups: int

    @property
    def is_significant(self) -> bool:
        """Whether chance alone would hardly make such a difference: p below 0.05."""
        return self.p < _SIGNIFICANT


@dataclass(frozen=True)
class ModelView:
    """One row of the scores table and one section of the page. troubles: one sentence a job that did not end well.

    interval, recording_interval: 95 % bounds of the accuracy by chunk and by recording, over the groups of all folds,
    each group's mean over the seeds; None where nothing was judged.
    worst: its surest mistakes.
    versus_best: None for the best one itself, and where nothing can be compared.
    """

    name: str
    trainings: tuple[TrainingView, ...]
    scores: MeanScores | None
    judged: Judged | None
    loss_curve: str = ""
    accuracy_curve: str = ""
    troubles: tuple[str, ...] = ()
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    recording_interval: tuple[float, float] | None = None
    worst: tuple[Mistake, ...] = ()
    versus_best: Versus | None = None
    has_validation: bool = True

    @property
    def n_parameters(self) -> int | None:
        """Weights of the network, None where no training ended well."""
        found = self.parameters.get("parameters")
        return int(found) if isinstance(found, int | float) else None

    @property
    def train_s(self) -> float:
        """Seconds all its trainings took."""
        return sum(training.train_s for training in self.trainings)

    @property
    def judged_trainings(self) -> tuple[TrainingView, ...]:
        """Those a score is known of."""
        return tuple(training for training in self.trainings if training.evaluation)

    @property
    def is_no_better_than_guessing(self) -> bool:
        """Whether always answering the commonest class lies within the doubt about the accuracy, or above it."""
        if self.scores is None:
            return True
        doubt = self.scores.accuracy.deviation or 0.0
        low = self.interval[0] if self.interval else self.scores.accuracy.mean - doubt
        return low <= self.scores.majority_accuracy.mean


def model_views(jobs: Sequence[JobReport]) -> tuple[ModelView, ...]:
    """One view a model, the highest accuracy by chunk first, models without any score last.

    jobs: of the whole run, in any order; those of no model, and of a variant of one, are left out.
    Raises Impossible where the folds of a model were judged with different labels.
    """
    jobs = [job for job in jobs if job.variant is None]
    names = dict.fromkeys(job.model for job in jobs if job.model)
    views = [_model_view(name, [job for job in jobs if job.model == name]) for name in names]
    ranked = sorted(views, key=lambda view: -view.scores.accuracy.mean if view.scores else 1.0)
    return tuple(_compared_with_first(ranked, jobs))


def _compared_with_first(ranked: Sequence[ModelView], jobs: Sequence[JobReport]) -> Iterator[ModelView]:
    outcomes = {view.name: pooled_outcomes(view.name, jobs) for view in ranked}
    found = {view.name: compared(outcomes[view.name], outcomes[ranked[0].name]) for view in ranked[1:]}
    known = {name: comparison for name, comparison in found.items() if comparison}
    ps = dict(zip(known, holm([comparison.p for comparison in known.values()]), strict=True))
    for view in ranked:
        against = known.get(view.name)
        versus = Versus(against.difference, ps[view.name], against.n_groups) if against else None
        yield replace(view, versus_best=versus)


def _model_view(name: str, jobs: Sequence[JobReport]) -> ModelView:
    keys = sorted({(job.fold, job.seed) for job in jobs}, key=_in_order)
    trainings = tuple(_training_view(key, [job for job in jobs if (job.fold, job.seed) == key], keys) for key in keys)
    evaluations = [training.evaluation for training in trainings if training.evaluation]
    outcomes = pooled_outcomes(name, jobs).values()
    histories = [job.history for job in sorted(jobs, key=lambda job: _in_order((job.fold, job.seed))) if job.history]
    return ModelView(
        name=name,
        trainings=trainings,
        scores=mean_over_trainings(evaluations) if evaluations else None,
        judged=_judged(trainings) if evaluations else None,
        loss_curve=learning_curve(histories, "loss"),
        accuracy_curve=learning_curve(histories, "accuracy"),
        has_validation=any("val_loss" in row for history in histories for row in history),
        interval=chunk_interval(outcomes),
        recording_interval=recording_interval(outcomes),
        worst=surest_mistakes(name, jobs),
        troubles=tuple(trouble(job) for job in jobs if has_trouble(job)),
        parameters=trained_with(jobs),
    )


def _in_order(key: _Key) -> tuple[int, int]:
    return (key[0] or 0, key[1] or 0)


def _training_view(key: _Key, jobs: Sequence[JobReport], keys: Sequence[_Key]) -> TrainingView:
    fold, seed = key
    seeds = {other_seed for _, other_seed in keys}
    name = "the only split" if fold is None else f"fold {fold}"
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


def _judged(trainings: Sequence[TrainingView]) -> Judged:
    seeds = sorted({training.seed for training in trainings if training.evaluation}, key=lambda seed: seed or 0)
    evaluations = [each.evaluation for each in trainings if each.evaluation and each.seed == seeds[0]]
    labels = evaluations[0].labels
    confusion = pooled_confusion(evaluations)
    sureness = pooled_bins([evaluation.calibration for evaluation in evaluations])
    classes = tuple(zip(labels, class_scores(confusion), strict=True))
    return Judged(
        seed=seeds[0],
        n_folds=len(evaluations),
        n_seeds=len(seeds),
        labels=labels,
        classes=classes,
        untested=tuple(label for label, row in classes if row.support == 0),
        table=confusion_table(confusion, labels),
        bars=class_bars([(label, row.f1, row.support) for label, row in classes]),
        confusion=confusion_figure(np.asarray(confusion), labels),
        calibration=calibration_curve(sureness),
        calibration_error=expected_error(sureness),
        top_confusions=top_confusions(confusion, labels),
        n_chunks=int(confusion.sum()),
        n_recordings=sum(each.by_recording.n for each in evaluations),
    )


@dataclass(frozen=True)
class Leak:
    """One model's accuracies by chunk, 0..1: what shuffled chunks would claim, and what recordings never heard say."""

    model: str
    claimed: float
    honest: float


def leaks(views: Sequence[ModelView], jobs: Sequence[JobReport]) -> tuple[Leak, ...]:
    """The leak meter's reading of every model that was judged in both ways, in the order of the views."""
    shuffled = [job for job in jobs if job.variant == leaky.VARIANT and job.evaluation]
    claimed = {job.model: job.evaluation.by_chunk.accuracy for job in shuffled if job.evaluation}
    return tuple(
        Leak(view.name, claimed[view.name], view.scores.accuracy.mean)
        for view in views
        if view.scores and view.name in claimed
    )


def has_trouble(job: JobReport) -> bool:
    """Whether a job ended, and not well; one that has not ended yet is no trouble."""
    return job.state in {"failed", "cancelled"}


def trouble(job: JobReport) -> str:
    """What became of a job that is not done, in one clause.

    >>> trouble(JobReport("train", "failed", model="cnn", fold=0, reason="loss is not a number"))
    'train cnn, fold 0, failed: loss is not a number'
    """
    name = " ".join(filter(None, (job.kind, job.model, job.variant))) + (
        f", fold {job.fold}," if job.fold is not None else ""
    )
    return f"{name} {job.state}" + (f": {job.reason}" if job.reason else "")
