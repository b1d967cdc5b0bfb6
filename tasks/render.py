"""A run to its report."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from celery import shared_task

from db.engine import Database
from db.queries import run_counts, status
from db.queries.job_inputs import PlannedRun, planned_run, presets
from db.queries.run_counts import ShownStrip
from db.queries.status import JobStatus
from db.store.interface import Store
from domain.digests import content_digest
from domain.errors import Damaged
from domain.reasons import words_of
from domain.results import EvaluateResult, FileRole, JobOutput, JobResult, LeftFile, PackResult, RenderResult, to_json
from domain.states import Kind, State
from domain.subsets import Subset
from tasks.audio.preset import Preset
from tasks.audio.strip import decode_strip
from tasks.model.zoo import entry
from tasks.report.data import (
    ClassFacts,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    NotUsed,
    ReportData,
    RunFacts,
    SideFacts,
    SplitFacts,
)
from tasks.report.plots.pictures import PicturePairs
from tasks.report.scoring.likeness import Likeness
from tasks.report.scoring.mistakes import surest_mistakes
from tasks.report.scoring.pairing import GroupOutcomes
from tasks.report.scoring.scores import Evaluation
from tasks.runtime import evaluations
from tasks.runtime.task import LedgerTask, Work

_GALLERY_LABELS = 30
_GALLERY_CHUNKS = 3
_PICTURED = 6
"""Mistakes of each model that are shown as pictures."""
_LISTED = 1000


@shared_task(name="render", base=LedgerTask, bind=True)
def render(self: LedgerTask, message: dict[str, Any]) -> None:
    """A run, whatever became of its jobs, to one HTML file.

    Reads: the run's rows, evaluations and a few strips. Writes: the page, then the job row.
    Safe to repeat because the same rows give the same page.
    """
    self.carry_out_job(message, report_in_store)


def report_in_store(work: Work) -> JobOutput:
    """Writes the run's report; returns its file.

    Two ledgers on one store both have a run 1, so the key begins with the page's own digest.
    """
    from tasks.report.html.page import page  # noqa: PLC0415  # two seconds of drawing libraries that most workers never need

    content = page(report_data(work.database, work.store, work.claim.run)).encode()
    digest = content_digest(content)
    key = f"reports/{digest[:16]}/run-{work.claim.run}.html"
    work.store.put(key, content)
    return JobOutput(RenderResult(key), (LeftFile(key, FileRole.REPORT, len(content), digest),))


def report_data(database: Database, store: Store, run: int) -> ReportData:
    """Everything the page shows, read from ledger and store."""
    planned = planned_run(database, run)
    jobs = [job for job in status.jobs(database, run) if job.kind != Kind.RENDER]
    quarantined, failed = status.quarantined(database, run), status.failed(database, run)
    reports = tuple(_job(database, store, job) for job in jobs)
    return ReportData(
        run=_run(database, planned, jobs),
        dataset=_dataset(database, planned, jobs),
        split=_split(database, planned),
        jobs=reports,
        gallery=tuple(_gallery(database, store, planned)),
        mistakes=dict(_mistakes(database, store, run, list(zip(jobs, reports, strict=True)))),
        quarantined=tuple(map(_not_used, quarantined[:_LISTED])),
        quarantine_counts=Counter(words_of(entry.reason_code) for entry in quarantined),
        failed=tuple(map(_not_used, failed[:_LISTED])),
        n_failed=len(failed),
    )


def _not_used(entry: status.NotUsed) -> NotUsed:
    return NotUsed(entry.recording, entry.reason, words_of(entry.reason_code))


def _run(database: Database, planned: PlannedRun, jobs: list[JobStatus]) -> RunFacts:
    work = run_counts.work(database, planned.id)
    ended_at = max((job.finished_at for job in jobs if job.finished_at), default=None)
    seconds: dict[str, float] = defaultdict(float, {"preprocess (all children)": work.seconds})
    for job in jobs:
        if job.started_at and job.finished_at:
            seconds[job.kind] += job.finished_at - job.started_at
    made = {"items": work.n_items, "strips made in this run": work.n_made, "attempts": work.attempts}
    met = run_counts.faults(database, planned.id).named()
    return RunFacts(
        id=str(planned.id),
        state="done" if all(job.state == State.DONE for job in jobs) else "ended with failures",
        seeds=tuple(planned.options["seeds"]),
        command=command(planned.options["path"], planned.options),
        submitted=_date(planned.created_at),
        finished=_date(ended_at),
        duration_s=ended_at - planned.created_at if ended_at else None,
        presets={name: _flat(values) for name, values in presets(database, planned.id).items()},
        versions=planned.facts["versions"],
        not_done=tuple(planned.facts.get("not_done", ())),
        counts=made,
        faults=met,
        stage_s=dict(seconds),
        rates=tuple(run_counts.rates(database, planned.id)),
        rate_unit="recordings",
    )


def command(dataset: str, options: Mapping[str, Any]) -> str:
    """What to type for the same run: its models, and every option that is not what it would be anyway.

    options: those of the run, as the ledger keeps them; seeds follow one another.
    """
    given = (
        ("--preset", options["preset"], None),
        ("--folds", options["n_folds"], None),
        ("--seeds", len(options["seeds"]), 1),
        ("--seed", options["seeds"][0], 0),
        ("--split-seed", options["split_seed"], 0),
        ("--epochs", options["training"].get("epochs"), None),
        ("--features", options.get("features", "audio"), "audio"),
        ("--device", options.get("device", "auto"), "auto"),
        ("--until", options["until"], "all"),
    )
    words = ["orchestrator", "run", dataset, "--models", ",".join(options["models"])]
    for name, value, usual in given:
        words += [name, str(value)] if value != usual else []
    words += ["--ablate", ",".join(options["ablate"])] if options.get("ablate") else []
    words += ["--leak-meter"] if options.get("leak_meter") else []
    words += ["--trust-csv"] if options.get("trust_csv") else []
    return shlex.join(words)


def _date(time_s: float | None) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC") if time_s else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _dataset(database: Database, planned: PlannedRun, jobs: list[JobStatus]) -> DatasetFacts:
    summary = planned.facts["summary"]
    chunks = _chunks_by_label(planned, jobs)
    of_label = run_counts.recordings_by_label(database, planned.id)
    return DatasetFacts(
        name=PurePath(planned.dataset).name,
        source=planned.dataset,
        layout=planned.layout,
        n_recordings=planned.facts["recordings"],
        n_chunks=sum(counts.total() for counts in chunks.values()),
        duration_s=summary["duration_s"],
        size_bytes=summary["bytes"],
        classes=tuple(ClassFacts(label, of_label.get(label, 0), dict(chunks[label])) for label in planned.labels),
        notes=tuple(planned.facts["layout_notes"]),
    )


def _chunks_by_label(planned: PlannedRun, jobs: list[JobStatus]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {label: Counter() for label in planned.labels}
    for job in jobs:
        is_own = job.pipeline_id in (None, planned.pipeline_id) and job.variant is None
        if is_own and isinstance(job.result, PackResult) and job.state == State.DONE:
            for number, n in job.result.label_counts.items():
                counts[planned.labels[number]][_part(job.fold, job.subset)] += n
    return counts


def _part(fold: int | None, subset: int | None) -> str:
    if fold is not None and fold >= 0:
        return f"fold {fold}"
    return Subset(subset or 0).name.lower()


def _split(database: Database, planned: PlannedRun) -> SplitFacts:
    split, torn = planned.split, run_counts.torn(database, planned.id)
    by_part: dict[str, list[int]] = {}
    for part in run_counts.part_counts(database, planned.id):
        total = by_part.setdefault(_part(part.fold, part.subset), [0, 0, 0])
        for at, n in enumerate((part.n_groups, part.n_recordings, part.n_chunks)):
            total[at] += n
    return SplitFacts(
        method=f"as follows: {split['method']}",
        grouped_by="group (the data's own group where given, else the author, else the recording; exact copies join)",
        n_groups=split["groups"],
        seed=split["seed"],
        sides=tuple(SideFacts(name, *counts) for name, counts in by_part.items()),
        folds=len(split["folds"]),
        checks=(*_checked(torn), *split["notes"], *_on_places(database, planned)),
        leaks=tuple(_leaks(torn)),
    )


def _on_places(database: Database, planned: PlannedRun) -> Iterator[str]:
    """What a network that is told the place may owe to it."""
    features = planned.options.get("features", "audio")
    if features == "audio":
        return
    placed, familiar = run_counts.familiar_places(database, planned.id)
    yield (
        f"Models that read features were told where and when (--features {features}). Of the {placed:,} recordings to "
        f"be judged on whose place is known, {familiar:,} were made at exactly a place that is also learnt from, and "
        "nobody looked for places nearby: a score may owe something to the place instead of the sound. How well new "
        "places are judged shows only where the data has a group column that holds the place."
    )


def _checked(torn: run_counts.Torn) -> Iterator[str]:
    if not torn.n_groups:
        yield "Every group stands on one side, and in one fold; checked in the ledger when this page was made."
    if not torn.n_recordings:
        yield "No recording, nor an exact copy of one, stands on two sides; checked by the digests of the files."


def _leaks(torn: run_counts.Torn) -> Iterator[str]:
    if torn.n_groups:
        yield f"{torn.n_groups} groups stand on two sides or in two folds: the data's own columns put them there."
    if torn.n_recordings:
        yield f"{torn.n_recordings} recordings stand on two sides or in two folds, as exact copies of each other."


def _job(database: Database, store: Store, job: JobStatus) -> JobReport:
    took = {"seconds": job.finished_at - job.started_at} if job.started_at and job.finished_at else {}
    return JobReport(
        kind=job.kind, state=job.state, model=job.model or "", reason=job.reason or "", device=job.device or "",
        fold=job.fold if job.fold is not None and job.fold >= 0 else None, seed=job.seed, worker=job.worker or "",
        attempts=job.attempts, timings=took, history=_history(database, job), **_judged(store, job),
        parameters=_parameters(job.result), variant=job.variant,
    )  # fmt: skip


def _judged(store: Store, job: JobStatus) -> dict[str, Any]:
    left = job.result
    if not isinstance(left, EvaluateResult) or job.state != State.DONE:
        return {}
    if entry(str(job.model)).is_generator:
        likeness = evaluations.read(store, left.key, lambda data: Likeness.from_dict(json.loads(data)))
        pictures = evaluations.read(store, str(left.pictures_key), PicturePairs.from_npz)
        return {"likeness": likeness, "pictures": pictures}
    outcomes_key = left.outcomes_key
    return {
        "evaluation": evaluations.read(store, left.key, lambda data: Evaluation.from_dict(json.loads(data))),
        "outcomes": evaluations.read(store, outcomes_key, GroupOutcomes.from_parquet) if outcomes_key else None,
    }


def _parameters(result: JobResult | None) -> dict[str, str | int | float | bool | None]:
    return {
        name: value
        for name, value in (to_json(result) if result else {}).items()
        if isinstance(value, str | int | float | bool) and not name.endswith("key")
    }


def _history(database: Database, job: JobStatus) -> tuple[dict[str, float], ...]:
    epochs: dict[int, dict[str, float]] = {}
    if job.kind == Kind.TRAIN:
        for epoch, name, value in status.metrics(database, job.id):
            epochs.setdefault(epoch, {"epoch": epoch})[name] = value
    return tuple(epochs[epoch] for epoch in sorted(epochs))


def _gallery(database: Database, store: Store, planned: PlannedRun) -> Iterator[GalleryStrip]:
    for label in planned.labels[:_GALLERY_LABELS]:
        for strip in run_counts.strips_of(database, planned.id, label, limit=1):
            yield from _strip(store, planned, label, strip)


def _strip(store: Store, planned: PlannedRun, label: str, strip: ShownStrip) -> Iterator[GalleryStrip]:
    """The beginning of a strip, unless it is gone from the store or damaged."""
    with contextlib.suppress(FileNotFoundError, Damaged):
        data = store.get(strip.key, strip.sha256, strip.size_bytes)
        spectrograms = decode_strip(data).spectrograms[:_GALLERY_CHUNKS]
        preset = Preset.from_dict(planned.preset)
        ends_hz = (float(preset.mel.fmin_hz), float(preset.mel.fmax_hz))
        yield GalleryStrip(label, strip.recording, spectrograms, preset.chunk.duration_s, *ends_hz)


def _is_shown(job: JobStatus, report: JobReport) -> bool:
    return job.variant is None and report.evaluation is not None


def _mistakes(
    database: Database, store: Store, run: int, jobs: Sequence[tuple[JobStatus, JobReport]]
) -> Iterator[tuple[tuple[str, str], GalleryStrip]]:
    """Strips of the surest mistakes of each model, by model and recording: of the pipeline the model looks at."""
    pipelines = {job.model: job.pipeline_id for job, report in jobs if job.model and _is_shown(job, report)}
    for model, pipeline in pipelines.items():
        looked_at = planned_run(database, run, pipeline)
        wrong = surest_mistakes(model, [report for _, report in jobs])[:_PICTURED]
        truths = {mistake.recording: mistake.truth for mistake in wrong}
        for strip in run_counts.first_strips(database, run, looked_at.pipeline_id, list(truths)):
            for shown in _strip(store, looked_at, truths[strip.recording], strip):
                yield (model, strip.recording), shown
