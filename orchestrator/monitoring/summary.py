"""The summary of a run: states, scores, faults and problems, as `--json` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any

from db.engine import Database
from db.queries import run_counts, status
from db.queries.crossings import Crossings, crossings
from db.queries.run_counts import FaultCount
from db.queries.status import BadRowLine, JobStatus
from db.queries.unused import NotUsed, unused
from db.store.interface import Store
from domain.frozen_words import DEATHS, LOSSES, NOT_SPLIT
from domain.reasons import ReasonCode
from domain.results import EvaluateResult, RenderResult, TrainResult
from domain.states import Kind, RunState, State
from orchestrator.monitoring.run_scores import ablation, evaluated_by_group, intervals, scores_without
from orchestrator.progress import Snapshot, fold_number, snapshot
from tasks.dataset.split import leaky
from tasks.model.zoo import is_generator

_COST = ("images_per_s", "epoch_s", "peak_rss_bytes")
_FIGURES = ("accuracy", "macro_f1", "by_recording_accuracy")
GENERATOR_FIGURES = (
    "frechet", "real_frechet", "copy_ratio", "copy_share", "diversity", "agreement", "n_synthetic",
    "accuracy_without", "accuracy_with",
)  # fmt: skip


def summary(database: Database, store: Store, run: int) -> dict[str, Any]:
    """The one object that `--json` prints."""
    seen = snapshot(database, run)
    evaluated, own = evaluated_by_group(store, seen.jobs), scores([job for job in seen.jobs if job.variant is None])
    lost, rows = unused(database, run), status.bad_rows(database, run)
    found = crossings(database, run, seen.run.split, seen.run.options)
    facts = seen.run.facts
    return {
        "run": run,
        "state": seen.run.state,
        "dataset": {"notes": list(facts.get("layout_notes", ())), **facts.get("findings", {})},
        "recordings": status.recording_counts(database, run),
        "quarantined": _with_reasons(lost.quarantined),
        "used_in_part": [asdict(each) for each in lost.in_part],
        "failed": _with_reasons(lost.failed),
        "left_out": [
            {"recording": row.uri, "reason": row.reason} for row in rows if row.reason_code == ReasonCode.LEFT_OUT
        ],
        "notes": [
            {"code": note.code.value, "unit": note.code.unit, "count": note.n, "recordings": note.n_recordings}
            for note in run_counts.notes(database, run)
        ],
        "jobs": [_job(database, job) for job in seen.jobs],
        "scores": {
            model: score if is_generator(model) else {**score, **intervals(model, evaluated)}
            for model, score in own.items()
        },
        "leak_meter": scores([job for job in seen.jobs if job.variant == leaky.VARIANT]),
        "honesty": _honesty(store, seen, found, scores_without(evaluated, found.groups)),
        "ablation": [
            {**effect, "trainings_planned": own[effect["model"]]["trainings_planned"]} for effect in ablation(evaluated)
        ],
        "faults": _faults(run_counts.faults(database, run)),
        "artifacts": status.n_artifacts(database, run),
        "report": report_address(store, seen),
        "started_at": _iso(seen.run.created_at),
        "finished_at": _iso(seen.run.finished_at),
        "bad_rows": [_bad_row(row) for row in rows if row.reason_code != ReasonCode.LEFT_OUT],
    }


def _faults(found: FaultCount) -> dict[str, int]:
    """Return the counts; lost claims and crashes also by the names of the previous version, for one version."""
    return {**asdict(found), LOSSES: found.lost_claims, DEATHS: found.crashes}


def report_address(store: Store, seen: Snapshot) -> str | None:
    """The address of the run's report; None while there is none."""
    rendered = _rendered(seen)
    return store.address(rendered.key) if rendered else None


def _rendered(seen: Snapshot) -> RenderResult | None:
    results = (job.result for job in seen.jobs if job.kind == Kind.RENDER and job.state == State.DONE)
    return next((result for result in results if isinstance(result, RenderResult)), None)


def _honesty(store: Store, seen: Snapshot, found: Crossings, without: dict[str, Any]) -> dict[str, Any]:
    """Whether the split is honest. None if the run has none: it ends before one is needed."""
    split = seen.run.split
    rendered = _rendered(seen)
    crossing_key = rendered.crossing_key if rendered else None
    is_split = split.get("method") not in (None, NOT_SPLIT)
    return {
        "is_honest": not found.recordings if is_split else None,
        "crossing_groups": len(found.groups),
        "crossing": [
            {"recording": each.recording, "label": each.label, "group": each.group, "part": each.part}
            for each in found.recordings
        ],
        "crossing_csv": store.address(crossing_key) if crossing_key else None,
        "scores_without": without,
        "joined_copies": split.get("copies", 0),
    }


def _with_reasons(recordings: Sequence[NotUsed]) -> list[dict[str, str]]:
    return [
        {"recording": each.recording, "reason": each.reason, "reason_code": each.reason_code} for each in recordings
    ]


def _bad_row(row: BadRowLine) -> dict[str, Any]:
    return {"line": row.line, "recording": row.uri, "reason": row.reason, "reason_code": row.reason_code}


def _job(database: Database, job: JobStatus) -> dict[str, Any]:
    trained = job.result if isinstance(job.result, TrainResult) else None
    best_epoch = trained.best_epoch if trained else None
    shown = (0, job.epoch if best_epoch is None else best_epoch)
    last = {name: value for epoch, name, value in status.metrics(database, job.id) if epoch in shown}
    return {
        "kind": job.kind, "model": job.model, "variant": job.variant, "fold": fold_number(job.fold), "seed": job.seed,
        "state": job.state, "device": job.device, "metrics": last, "reason": job.reason,
        "reason_code": job.reason_code,
        "notes": list(trained.notes) if trained else [],
        "cost": {name: value for name in _COST if (value := getattr(trained, name, None)) is not None},
    }  # fmt: skip


def scores(jobs: Sequence[JobStatus]) -> dict[str, dict[str, float | None]]:
    """Means over folds and seeds, by model, and sample standard deviations, such as `accuracy_sd`.

    The deviation of a single job is None.  `trainings` of `trainings_planned` have been evaluated.
    A generator has no accuracy: its entry holds measures of its own.
    """
    by_model: dict[str, list[JobStatus]] = {}
    for job in jobs:
        if job.kind == Kind.EVALUATE and job.model:
            by_model.setdefault(job.model, []).append(job)
    evaluated = {model: [job for job in planned if job.state == State.DONE] for model, planned in by_model.items()}
    return {model: _score(model, done, len(by_model[model])) for model, done in evaluated.items() if done}


def _score(model: str, evaluated: list[JobStatus], n_planned: int) -> dict[str, float | None]:
    names = GENERATOR_FIGURES if is_generator(model) else _FIGURES
    figures = [job.result.figures for job in evaluated if isinstance(job.result, EvaluateResult)]
    values = {name: [each[name] for each in figures] for name in names}
    means: dict[str, float | None] = {name: fmean(each) for name, each in values.items()}
    deviations = {f"{name}_sd": stdev(each) if len(each) > 1 else None for name, each in values.items()}
    trainings = {"trainings": len(evaluated), "trainings_planned": n_planned}
    return means if is_generator(model) else {**means, **deviations, **trainings}


def exit_code(database: Database, run: int) -> int:
    """0 done, 1 failed or cancelled, 3 done with recordings or parts of them quarantined, 130 paused."""
    state = snapshot(database, run).run.state
    if state == RunState.DONE:
        return 3 if status.is_any_unused(database, run) else 0
    return 130 if state == RunState.PAUSED else 1


def _iso(time_s: float | None) -> str | None:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="seconds") if time_s is not None else None
