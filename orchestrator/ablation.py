"""What each part was worth in a run, read from ledger and store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from db.states import Kind, State
from db.status import JobStatus
from db.store import Store
from tasks.model.variants import factor_of


def ablation(store: Store, jobs: Sequence[JobStatus]) -> list[dict[str, Any]]:
    """One entry a model and factor: accuracies by recording with and without, their difference, its interval and p."""
    if not any(job.variant and factor_of(job.variant) for job in jobs):
        return []
    from tasks.report.ablation import effects  # noqa: PLC0415  # half a second that most runs need not
    from tasks.report.facts import JobReport  # noqa: PLC0415
    from tasks.report.pairing import GroupOutcomes  # noqa: PLC0415

    judged = [job for job in jobs if job.kind == Kind.EVALUATE and job.state == State.DONE]
    kept = [job for job in judged if job.result.get("outcomes_key") and job.result["outcomes_key"] in store]
    reports = [
        JobReport(
            job.kind, job.state, str(job.model), job.fold, job.seed, variant=job.variant,
            outcomes=GroupOutcomes.from_parquet(store.get(job.result["outcomes_key"])),
        )
        for job in kept
    ]  # fmt: skip
    return [effect.as_dict() for effect in effects(reports)]
