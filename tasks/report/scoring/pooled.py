"""The trainings of one model as one: what each group's recordings came to over its folds and seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from tasks.report.data import JobReport
from tasks.report.scoring.interval import share_interval
from tasks.report.scoring.pairing import GroupOutcomes, equally_weighted, mean_outcomes

Interval = tuple[float, float]
"""95 % bounds, 0..1."""


def pooled_outcomes(model: str, jobs: Sequence[JobReport]) -> dict[int | None, GroupOutcomes]:
    """What the model's score is the mean of: each group's mean over the seeds, and every fold weighs the same.

    jobs: of any model, in any order; those that hold no outcomes are left out.
    """
    by_fold: dict[int | None, list[GroupOutcomes]] = {}
    for job in jobs:
        if job.model == model and job.outcomes is not None:
            by_fold.setdefault(job.fold, []).append(job.outcomes)
    return equally_weighted({fold: mean_outcomes(seeds) for fold, seeds in by_fold.items()})


def chunk_interval(folds: Collection[GroupOutcomes]) -> Interval | None:
    """Of the accuracy by chunk, over the groups of all folds; None where nothing was judged."""
    return _over_groups(folds, "correct_chunks", "chunks")


def recording_interval(folds: Collection[GroupOutcomes]) -> Interval | None:
    """Of the accuracy by recording, over the groups of all folds; None where nothing was judged."""
    return _over_groups(folds, "correct", "recordings")


def _over_groups(folds: Collection[GroupOutcomes], correct: str, units: str) -> Interval | None:
    """Each group is tested in one fold of a seed, so folds are laid end to end."""
    if not folds:
        return None
    right, n = (np.concatenate([getattr(each, name) for each in folds]) for name in (correct, units))
    return share_interval(right, n)
