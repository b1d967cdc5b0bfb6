"""Effects of single parts: each model with and without the part, evaluated on the same recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.model.variants import FACTORS, factor_of, is_with
from tasks.report.data import JobReport
from tasks.report.scoring.pairing import Comparison, GroupOutcomes, compared, mean_outcomes

_SIGNIFICANT = 0.05

_Training = tuple[int | None, int | None]  # fold and seed
_Outcomes = dict[_Training, GroupOutcomes]


@dataclass(frozen=True)
class Effect:
    """The effect of one part on one model.

    with_it, without_it: accuracies by recording, 0..1, over all folds and seeds evaluated both ways.
    comparison: of the first with the second, by group.  is_own: True if the unchanged model has the part.
    """

    model: str
    factor: str
    with_it: float
    without_it: float
    comparison: Comparison
    is_own: bool
    n_trainings: int

    @property
    def part(self) -> str:
        """The name of the factor in reports."""
        return FACTORS[self.factor]

    @property
    def is_significant(self) -> bool:
        """True if p < 0.05 and the interval excludes 0."""
        low, high = self.comparison.interval
        return self.comparison.p < _SIGNIFICANT and not low <= 0 <= high

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        low, high = self.comparison.interval
        return {
            "model": self.model, "factor": self.factor, "with": self.with_it, "without": self.without_it,
            "difference": self.comparison.difference, "low": low, "high": high, "p": self.comparison.p,
            "is_significant": self.is_significant, "trainings": self.n_trainings,
        }  # fmt: skip


def effects(jobs: Iterable[JobReport]) -> tuple[Effect, ...]:
    """Return one effect per model and factor evaluated with and without it, in the order of the jobs."""
    by_model: dict[tuple[str, str | None], _Outcomes] = {}
    for job in jobs:
        if job.outcomes is not None:
            by_model.setdefault((job.model, job.variant), {})[job.fold, job.seed] = job.outcomes
    return tuple(
        _effect(model, str(variant), by_model[model, None], changed)
        for (model, variant), changed in by_model.items()
        if variant and factor_of(variant) and by_model.get((model, None), {}).keys() & changed.keys()
    )


def _effect(model: str, variant: str, own: _Outcomes, changed: _Outcomes) -> Effect:
    trainings = sorted(own.keys() & changed.keys(), key=str)
    with_it, without_it = (changed, own) if is_with(variant) else (own, changed)
    ours, theirs = (_over_seeds(outcomes, trainings) for outcomes in (with_it, without_it))
    comparison = compared(ours, theirs)
    if comparison is None:
        raise ValueError(f"{model} and its variant {variant!r} were not evaluated on the same recordings")
    return Effect(
        model=model,
        factor=str(factor_of(variant)),
        with_it=_accuracy(ours),
        without_it=_accuracy(theirs),
        comparison=comparison,
        is_own=not is_with(variant),
        n_trainings=len(trainings),
    )


def _over_seeds(outcomes: _Outcomes, trainings: Sequence[_Training]) -> dict[int | None, GroupOutcomes]:
    """Average each fold over its seeds, so that each group counts once."""
    by_fold: dict[int | None, list[GroupOutcomes]] = {}
    for fold, seed in trainings:
        by_fold.setdefault(fold, []).append(outcomes[fold, seed])
    return {fold: mean_outcomes(seeds) for fold, seeds in by_fold.items()}


def _accuracy(folds: Mapping[int | None, GroupOutcomes]) -> float:
    n, right = (sum(float(getattr(each, name).sum()) for each in folds.values()) for name in ("recordings", "correct"))
    return right / n
