"""Which mistakes of a model a person should look at; nothing here draws."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.report.data import JobReport
from tasks.report.scoring.scores import Mistake

_MOST_MISTAKES = 20


def surest_mistakes(name: str, jobs: Iterable[JobReport]) -> tuple[Mistake, ...]:
    """The twenty recordings that the model, with its first seed, named wrongly and was surest of, the surest first."""
    judged = [job for job in jobs if job.model == name and job.variant is None and job.evaluation]
    first = min((job.seed or 0 for job in judged), default=0)
    of_first = [job.evaluation for job in judged if (job.seed or 0) == first and job.evaluation]
    worst = (mistake for evaluation in of_first for mistake in evaluation.worst)
    return tuple(sorted(worst, key=lambda mistake: -mistake.confidence)[:_MOST_MISTAKES])
