"""Confidence intervals and ablation effects of a run, from the evaluations in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
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
    from tasks.report.scoring.model_outcomes import Interval


def evaluated_by_group(store: Store, jobs: Sequence[JobStatus]) -> list[JobReport]:
    """The evaluations of every model, and of every variant of an ablation, with outcomes by group.

    A model or variant is omitted if the outcomes of any of its jobs cannot be read: an interval over some folds does
    not describe a score that is the mean over all folds.
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


def scores_without(jobs: Sequence[JobReport], groups: Collection[str]) -> dict[str, dict[str, Any] | None]:
    """The scores of every model without these groups; None for a model of which nothing remains."""
    if not groups:
        return {}
    from tasks.report.scoring.model_outcomes import remaining  # noqa: PLC0415

    own = [job for job in jobs if job.variant is None]
    found = {model: remaining(model, own, groups) for model in dict.fromkeys(job.model for job in own)}
    return {model: asdict(score) if score else None for model, score in found.items()}


def intervals(model: str, jobs: Sequence[JobReport]) -> dict[str, Interval | int | None]:
    """The 95 % intervals of a model's two accuracies over folds and seeds, by group, and the number of groups.

    None where outcomes are missing.
    """
    own = [job for job in jobs if job.model == model and job.variant is None]
    if not own:
        return {"accuracy_interval": None, "by_recording_accuracy_interval": None, "groups": None}
    from tasks.report.scoring.model_outcomes import chunk_interval, model_outcomes, recording_interval  # noqa: PLC0415

    folds = model_outcomes(model, own).values()
    return {
        "accuracy_interval": chunk_interval(folds),
        "by_recording_accuracy_interval": recording_interval(folds),
        "groups": sum(len(each.groups) for each in folds),
    }
