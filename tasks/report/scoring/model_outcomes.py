"""Outcomes of a model by group, combined over its folds and seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.report.data import JobReport
from tasks.report.scoring.interval import share_interval
from tasks.report.scoring.pairing import GroupOutcomes, equally_weighted, mean_outcomes

Interval = tuple[float, float]
"""95 % confidence bounds, 0..1."""


def model_outcomes(model: str, jobs: Sequence[JobReport]) -> dict[int | None, GroupOutcomes]:
    """Average the outcomes of a model over its seeds and weight its folds equally.

    jobs: of any model, in any order; jobs without outcomes are ignored.  Returns fold number -> outcomes.
    """
    by_fold: dict[int | None, list[GroupOutcomes]] = {}
    for job in jobs:
        if job.model == model and job.outcomes is not None:
            by_fold.setdefault(job.fold, []).append(job.outcomes)
    return equally_weighted({fold: mean_outcomes(seeds) for fold, seeds in by_fold.items()})


@dataclass(frozen=True)
class Remaining:
    """A model's scores without some groups. accuracy: by chunk; None if the outcomes have no chunk counts."""

    accuracy: float | None
    by_recording_accuracy: float
    by_recording_accuracy_interval: Interval | None
    groups: int
    recordings: int


def remaining(model: str, jobs: Sequence[JobReport], left_out: Collection[str]) -> Remaining | None:
    """Score a model without the groups that are left out, over folds and seeds; None if no group remains.

    jobs: as for `model_outcomes`.
    """
    kept = [replace(job, outcomes=job.outcomes.without(left_out)) for job in jobs if job.outcomes is not None]
    folds = [each for each in model_outcomes(model, [job for job in kept if _is_any_left(job)]).values() if each.groups]
    if not folds:
        return None
    right, n, right_chunks, n_chunks = (
        float(sum(getattr(each, name).sum() for each in folds))
        for name in ("correct", "recordings", "correct_chunks", "chunks")
    )
    n_groups = sum(len(each.groups) for each in folds)
    accuracy = right_chunks / n_chunks if n_chunks else None
    return Remaining(accuracy, right / n, recording_interval(folds), n_groups, round(n))


def _is_any_left(job: JobReport) -> bool:
    return job.outcomes is not None and len(job.outcomes.groups) > 0


def chunk_interval(folds: Collection[GroupOutcomes]) -> Interval | None:
    """Compute the interval of the accuracy by chunk, over the groups of all folds; None without folds."""
    return _over_groups(folds, "correct_chunks", "chunks")


def recording_interval(folds: Collection[GroupOutcomes]) -> Interval | None:
    """Compute the interval of the accuracy by recording, over the groups of all folds; None without folds."""
    return _over_groups(folds, "correct", "recordings")


def _over_groups(folds: Collection[GroupOutcomes], correct: str, units: str) -> Interval | None:
    """Concatenate the groups of all folds; each group is tested in one fold per seed."""
    if not folds:
        return None
    right, n = (np.concatenate([getattr(each, name) for each in folds]) for name in (correct, units))
    return share_interval(right, n)
