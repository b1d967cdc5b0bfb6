"""What the judged jobs of a run say together, read from ledger and store: intervals, and what each part was worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from db.states import Kind, State
from db.status import JobStatus
from db.store import Store
from tasks import judgement
from tasks.failures import Damaged
from tasks.model.variants import factor_of

if TYPE_CHECKING:
    from tasks.report.facts import JobReport

Interval = tuple[float, float]


def judged(store: Store, jobs: Sequence[JobStatus]) -> list[JobReport]:
    """The jobs that were judged group by group. Left out is one whose outcomes are gone or damaged: the doctor's."""
    kept = [
        job for job in jobs
        if job.kind == Kind.EVALUATE and job.state == State.DONE and job.result.get("outcomes_key")
    ]  # fmt: skip
    return list(_reports(store, kept)) if kept else []


def _reports(store: Store, jobs: Sequence[JobStatus]) -> Iterator[JobReport]:
    from tasks.report.facts import JobReport  # noqa: PLC0415  # half a second that a run without scores need not
    from tasks.report.pairing import GroupOutcomes  # noqa: PLC0415

    for job in jobs:
        try:
            outcomes = judgement.read(store, job.result["outcomes_key"], GroupOutcomes.from_parquet)
        except Damaged:
            continue
        yield JobReport(job.kind, job.state, str(job.model), job.fold, job.seed, variant=job.variant, outcomes=outcomes)


def ablation(jobs: Sequence[JobReport]) -> list[dict[str, Any]]:
    """One entry a model and factor: accuracies by recording with and without, their difference, its interval and p."""
    if not any(job.variant and factor_of(job.variant) for job in jobs):
        return []
    from tasks.report.ablation import effects  # noqa: PLC0415

    return [effect.as_dict() for effect in effects(jobs)]


def intervals(jobs: Sequence[JobReport]) -> dict[str, dict[str, Interval | None]]:
    """By model the 95 % bounds of its two accuracies over folds and seeds, by group, as on the report's page."""
    if not jobs:
        return {}
    from tasks.report.pooled import chunk_interval, pooled_outcomes, recording_interval  # noqa: PLC0415

    own = [job for job in jobs if job.variant is None]
    found: dict[str, dict[str, Interval | None]] = {}
    for model in dict.fromkeys(job.model for job in own):
        folds = pooled_outcomes(model, own).values()
        found[model] = {
            "accuracy_interval": chunk_interval(folds),
            "by_recording_accuracy_interval": recording_interval(folds),
        }
    return found
