"""Select the errors of a model that a person should check."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.report.data import JobReport
from tasks.report.scoring.scores import Evaluation, Misclassification

_MOST_MISTAKES = 20


def most_confident_errors(name: str, jobs: Iterable[JobReport]) -> tuple[Misclassification, ...]:
    """Return the twenty recordings that the model misclassified with the highest confidence, with its first seed."""
    worst = (mistake for evaluation in _of_first_seed(name, jobs) for mistake in evaluation.worst)
    return tuple(sorted(worst, key=lambda mistake: -mistake.confidence)[:_MOST_MISTAKES])


def n_errors(name: str, jobs: Iterable[JobReport]) -> int:
    """Return the number of recordings that the model misclassified, with its first seed."""
    scores = (evaluation.by_recording for evaluation in _of_first_seed(name, jobs))
    return sum(each.n - sum(n for true, found, n in zip(*each.cells, strict=True) if true == found) for each in scores)


def _of_first_seed(name: str, jobs: Iterable[JobReport]) -> list[Evaluation]:
    evaluated = [job for job in jobs if job.model == name and job.variant is None and job.evaluation]
    first = min((job.seed or 0 for job in evaluated), default=0)
    return [job.evaluation for job in evaluated if (job.seed or 0) == first and job.evaluation]
