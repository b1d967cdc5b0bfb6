"""The task that renders the report of a run."""

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
from db.queries.crossings import CROSSING_CSV, Crossing, Crossings, crossings
from db.queries.job_inputs import PlannedRun, planned_run, presets
from db.queries.run_counts import ShownStrip
from db.queries.status import JobStatus
from db.queries.unused import NotUsed, UsedInPart, unused
from db.store.interface import Store
from domain.digests import content_digest
from domain.errors import Damaged
from domain.plural import counted
from domain.reasons import words_of
from domain.results import (
    EvaluateResult,
    FileRole,
    JobOutput,
    JobResult,
    OutputFile,
    PackResult,
    RenderResult,
    TrainResult,
    to_json,
)
from domain.states import Kind, State
from domain.subsets import Subset
from tasks.audio.preset import Preset
from tasks.audio.strip import decode_strip
from tasks.model.zoo import entry
from tasks.report.data import (
    ClassFacts,
    CrossingRecording,
    DatasetFacts,
    GalleryStrip,
    JobReport,
    ReportData,
    RunFacts,
    SplitFacts,
    SubsetFacts,
    UnusedRecording,
)
from tasks.report.plots.sample_pairs import SamplePairs
from tasks.report.scoring.confident_errors import most_confident_errors
from tasks.report.scoring.generator_evaluation import GeneratorEvaluation
from tasks.report.scoring.pairing import GroupOutcomes
from tasks.report.scoring.scores import Evaluation
from tasks.runtime import evaluations
from tasks.runtime.task import LedgerTask, Work

_GALLERY_LABELS = 30
_GALLERY_CHUNKS = 3
_ERRORS_SHOWN = 6
"""Number of errors per model that the report shows as spectrograms."""
_LISTED = 1000


@shared_task(name="render", base=LedgerTask, bind=True)
def render(self: LedgerTask, message: dict[str, Any]) -> None:
    """Render the report of a run, including failed jobs, as one HTML file.

    Reads: the run's rows, evaluations and a few strips. Writes: the page, then the job row.
    Idempotent: the same rows give the same page.
    """
    self.carry_out_job(message, render_report)


def render_report(work: Work) -> JobOutput:
    """Write the report of the run to the store, and a csv of the recordings that cross its split; return the files.

    The key contains the digest of the page, because two ledgers that share a store both have a run 1.
    Raises: Impossible and Damaged, as `report_data` does.
    """
    from tasks.report.html.page import page  # noqa: PLC0415  # Plotting libraries take two seconds to import.

    planned = planned_run(work.database, work.claim.run)
    found = crossings(work.database, planned.id, planned.split, planned.options)
    content = page(report_data(work.database, work.store, planned, found)).encode()
    digest = content_digest(content)
    key = f"reports/{digest[:16]}/run-{planned.id}.html"
    files = [OutputFile(key, FileRole.REPORT, len(content), digest)]
    work.store.put(key, content)
    if not found.recordings:
        return JobOutput(RenderResult(key), tuple(files))
    crossing, crossing_key = found.as_csv(), key.removesuffix(".html") + CROSSING_CSV
    files.append(OutputFile(crossing_key, FileRole.CROSSING, len(crossing), content_digest(crossing)))
    work.store.put(crossing_key, crossing)
    return JobOutput(RenderResult(key, crossing_key), tuple(files))


def report_data(database: Database, store: Store, planned: PlannedRun, found: Crossings) -> ReportData:
    """Collect the contents of the page from ledger and store. found: the recordings that cross the split.

    Raises: Damaged if an evaluation in the store is missing or not what was written.
    """
    run = planned.id
    jobs = [job for job in status.jobs(database, run) if job.kind != Kind.RENDER]
    lost = unused(database, run)
    reports = tuple(_job(database, store, job) for job in jobs)
    return ReportData(
        run=_run(database, planned, jobs),
        dataset=_dataset(database, planned, jobs),
        split=_split(database, planned, found),
        jobs=reports,
        gallery=tuple(_gallery(database, store, planned)),
        n_gallery_classes=_GALLERY_LABELS,
        error_strips=dict(_error_strips(database, store, run, list(zip(jobs, reports, strict=True)))),
        quarantined=tuple(map(_unused_recording, lost.quarantined[:_LISTED])),
        quarantine_counts=Counter(words_of(entry.reason_code) for entry in lost.quarantined),
        used_in_part=tuple(map(_unused_recording, lost.in_part[:_LISTED])),
        n_used_in_part=len(lost.in_part),
        lost_s=sum(entry.lost_s for entry in lost.in_part),
        failed=tuple(map(_unused_recording, lost.failed[:_LISTED])),
        n_failed=len(lost.failed),
    )


def _unused_recording(entry: NotUsed | UsedInPart) -> UnusedRecording:
    return UnusedRecording(entry.recording, entry.reason, words_of(entry.reason_code))


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
    """Return the command that repeats the run, without options that have their default values.

    options: of the run, from the ledger; its seeds are consecutive.
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
        ("--class-folders", ",".join(options.get("class_folders", ())), ""),
        ("--path-column", options.get("path_column"), None),
        ("--label-column", options.get("label_column"), None),
        ("--until", options["until"], "all"),
    )
    words = ["orchestrator", "run", dataset, "--models", ",".join(options["models"])]
    for name, value, usual in given:
        words += [name, str(value)] if value != usual else []
    words += ["--ablate", ",".join(options["ablate"])] if options.get("ablate") else []
    words += ["--leak-meter"] if options.get("leak_meter") else []
    words += ["--drop-leaks"] if options.get("drop_leaks") else []
    words += ["--trust-csv"] if options.get("trust_csv") else []
    words += ["--allow-empty-classes"] if options.get("allow_empty_classes") else []
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


def _split(database: Database, planned: PlannedRun, found: Crossings) -> SplitFacts:
    split, overlap = planned.split, run_counts.split_overlap(database, planned.id)
    by_part: dict[str, list[int]] = {}
    for part in run_counts.part_counts(database, planned.id):
        total = by_part.setdefault(_part(part.fold, part.subset), [0, 0, 0])
        for at, n in enumerate((part.n_groups, part.n_recordings, part.n_chunks)):
            total[at] += n
    return SplitFacts(
        method=f"as follows: {split['method']}",
        grouped_by="the group column of the data, else the author, else the recording; exact copies share a group",
        n_groups=split["groups"],
        seed=split["seed"],
        subsets=tuple(SubsetFacts(name, *counts) for name, counts in by_part.items()),
        folds=len(split["folds"]),
        checks=tuple(_passed_checks(overlap)),
        leaks=tuple(_leaks(overlap)),
        notes=(*split["notes"], *_place_notes(database, planned)),
        crossing=tuple(_crossing(each) for each in found.recordings[:_LISTED]),
        n_crossing=len(found.recordings),
        crossing_groups=found.groups,
    )


def _crossing(each: Crossing) -> CrossingRecording:
    return CrossingRecording(each.recording, each.label, each.group, each.part)


def _place_notes(database: Database, planned: PlannedRun) -> Iterator[str]:
    """Yield a note if the models read place and time: how many test recordings share a place with training ones."""
    features = planned.options.get("features", "audio")
    if features == "audio":
        return
    placed, shared = run_counts.shared_places(database, planned.id)
    yield (
        f"Models that read features received place and time (--features {features}). Of {placed:,} test recordings "
        f"with a known place, {shared:,} were made at exactly the place of a training recording; nearby places are "
        "not counted. Scores may depend on the place instead of the sound. To measure accuracy at new places, put the "
        "place into a group column of the data."
    )


def _passed_checks(overlap: run_counts.SplitOverlap) -> Iterator[str]:
    if not overlap.n_groups_divided:
        yield "Every group is in one subset and one fold (checked in the ledger when this page was rendered)."
    if not overlap.n_recordings:
        yield "No recording that is tested, or exact copy of it, is trained on (checked by the digests of the files)."


def _leaks(overlap: run_counts.SplitOverlap) -> Iterator[str]:
    if overlap.n_groups:
        yield (
            f"{counted(overlap.n_groups, 'group is', 'groups are')} in test and also in training or "
            "validation, or in two folds, as assigned by the columns of the data."
        )
    if overlap.n_recordings:
        yield (
            f"{counted(overlap.n_recordings, 'recording is', 'recordings are')} in test and also in training or "
            "validation, or in two folds, as exact copies."
        )


def _job(database: Database, store: Store, job: JobStatus) -> JobReport:
    took = {"seconds": job.finished_at - job.started_at} if job.started_at and job.finished_at else {}
    return JobReport(
        kind=job.kind, state=job.state, model=job.model or "", reason=job.reason or "", device=job.device or "",
        fold=job.fold if job.fold is not None and job.fold >= 0 else None, seed=job.seed, worker=job.worker or "",
        attempts=job.attempts, timings=took, history=_history(database, job), **_evaluation_fields(store, job),
        parameters=_parameters(job.result), variant=job.variant,
        notes=job.result.notes if isinstance(job.result, TrainResult) else (),
    )  # fmt: skip


def _evaluation_fields(store: Store, job: JobStatus) -> dict[str, Any]:
    result = job.result
    if not isinstance(result, EvaluateResult) or job.state != State.DONE:
        return {}
    if entry(str(job.model)).is_generator:
        evaluation = evaluations.read(store, result.key, lambda data: GeneratorEvaluation.from_dict(json.loads(data)))
        samples = evaluations.read(store, str(result.pictures_key), SamplePairs.from_npz)
        return {"generator_evaluation": evaluation, "samples": samples}
    outcomes_key = result.outcomes_key
    return {
        "evaluation": evaluations.read(store, result.key, lambda data: Evaluation.from_dict(json.loads(data))),
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
    """Yield the start of a strip, or nothing if it is missing or damaged."""
    with contextlib.suppress(FileNotFoundError, Damaged):
        data = store.get(strip.key, strip.sha256, strip.size_bytes)
        spectrograms = decode_strip(data).spectrograms[:_GALLERY_CHUNKS]
        preset = Preset.from_dict(planned.preset)
        ends_hz = (float(preset.mel.fmin_hz), float(preset.mel.fmax_hz))
        yield GalleryStrip(label, strip.recording, spectrograms, preset.chunk.duration_s, *ends_hz)


def _error_strips(
    database: Database, store: Store, run: int, jobs: Sequence[tuple[JobStatus, JobReport]]
) -> Iterator[tuple[tuple[str, str], GalleryStrip]]:
    """Yield strips of each model's most confident errors, from its own pipeline, by model and recording."""
    pipelines = {
        job.model: job.pipeline_id for job, report in jobs if job.model and report.evaluation and job.variant is None
    }
    for model, pipeline in pipelines.items():
        model_run = planned_run(database, run, pipeline)
        wrong = most_confident_errors(model, [report for _, report in jobs])[:_ERRORS_SHOWN]
        truths = {error.recording: error.truth for error in wrong}
        for strip in run_counts.first_strips(database, run, model_run.pipeline_id, list(truths)):
            for shown in _strip(store, model_run, truths[strip.recording], strip):
                yield (model, strip.recording), shown
