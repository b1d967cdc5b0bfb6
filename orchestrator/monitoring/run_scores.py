"""Confidence intervals and ablation effects of a run, from the evaluations in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from db.queries.status import JobStatus
from db.store.interface import Store
from domain.errors import Damaged
from domain.results import EvaluateResult
from domain.states import State
from tasks.model.variants import factor_of
from tasks.runtime import evaluations

if TYPE_CHECKING:
    from tasks.report.data import JobReport
    from tasks.report.scoring.pooled import Interval


def evaluated_by_group(store: Store, jobs: Sequence[JobStatus]) -> list[JobReport]:
    """The evaluations of every model, and of every variant of an ablation, with outcomes by group.

    A model or variant is left out if the outcomes of any of its jobs cannot be read: an interval over some folds says
    nothing about a score that is the mean over all.
    """
    wanted = [
        job for job in jobs
        if job.state == State.DONE and _outcomes_key(job)
        and (job.variant is None or factor_of(job.variant))
    ]  # fmt: skip
    reports = list(_reports(store, wanted)) if wanted else []
    unread = {(report.model, report.variant) for report in reports if report.outcomes is None}
    return [report for report in reports if (report.model, report.variant) not in unread]


def _outcomes_key(job: JobStatus) -> str:
    return (job.result.outcomes_key if isinstance(job.result, EvaluateResult) else None) or ""


def _reports(store: Store, jobs: Sequence[JobStatus]) -> Iterator[JobReport]:
    from tasks.report.data import JobReport  # noqa: PLC0415  # takes half a second; only needed with scores
    from tasks.report.scoring.pairing import GroupOutcomes  # noqa: PLC0415

    for job in jobs:
        try:
            outcomes = evaluations.read(store, _outcomes_key(job), GroupOutcomes.from_parquet)
        except (Damaged, OSError):
            outcomes = None
        yield JobReport(job.kind, job.state, str(job.model), job.fold, job.seed, variant=job.variant, outcomes=outcomes)


def ablation(jobs: Sequence[JobReport]) -> list[dict[str, Any]]:
    """One entry for each model and factor: accuracies by recording with and without it, difference, interval and p."""
    if not any(job.variant for job in jobs):
        return []
    from tasks.report.scoring.ablation import effects  # noqa: PLC0415

    return [effect.as_dict() for effect in effects(jobs)]


def intervals(model: str, jobs: Sequence[JobReport]) -> dict[str, Interval | int | None]:
    """The 95 % intervals of a model's two accuracies over folds and seeds, by group, and the number of groups.

    None where outcomes are missing.
    """
    own = [job for job in jobs if job.model == model and job.variant is None]
    if not own:
        return {"accuracy_interval": None, "by_recording_accuracy_interval": None, "groups": None}
    from tasks.report.scoring.pooled import chunk_interval, pooled_outcomes, recording_interval  # noqa: PLC0415

    folds = pooled_outcomes(model, own).values()
    return {
        "accuracy_interval": chunk_interval(folds),
        "by_recording_accuracy_interval": recording_interval(folds),
        "groups": sum(len(each.groups) for each in folds),
    }
