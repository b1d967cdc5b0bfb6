"""A path and a request become a run in the ledger: the shell around `plan`."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db import planning
from db.session import Database
from orchestrator import plan
from orchestrator.gather import Gathered, Progress, assignment_or_none, gather, lookup_in, side_counts
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset, load_preset
from tasks.dataset.layouts import BadRow, Layout, open_layout
from tasks.dataset.manifest import Recording
from tasks.dataset.split import Assignment

_PACKAGES = (
    "dawn-chorus", "numpy", "scipy", "librosa", "soundfile", "soxr", "noisereduce", "audiomentations", "pillow",
    "pyarrow", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "celery", "sqlalchemy",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A run that the dispatcher may have."""

    run: int
    n_recordings: int
    n_items: int
    lines: tuple[str, ...]


def submit(database: Database, path: Path, request: plan.Request, on_progress: Progress) -> Planned:
    """Plans the dataset at `path` and leaves an active run in the ledger, or nothing at all.

    Raises LayoutError, PresetError, SplitError or another Impossible, with the sentence to show.
    """
    layout, preset = open_layout(path), load_preset(request.preset)
    dataset = planning.keep_dataset(database, str(layout.root), layout.name)
    pipeline = planning.keep_pipeline(database, preset.digest, preset.name, preset.as_dict())
    run = planning.begin_run(database, dataset, pipeline, {**request.as_dict(), "path": str(path.absolute())})
    try:
        found = gather(layout, lookup_in(database, dataset), on_progress)
        return _write(database, (run, dataset, pipeline), layout, preset, request, found)
    except BaseException:
        planning.discard_run(database, run)
        raise


def _write(
    database: Database,
    ids: tuple[int, int, int],
    layout: Layout,
    preset: Preset,
    request: plan.Request,
    found: Gathered,
) -> Planned:
    run, dataset, pipeline = ids
    assignment, names = assignment_or_none(request, found.rows)
    recording_ids = planning.keep_recordings(database, dataset, map(_recording_row, found.rows))
    placed = list(_placed(found.rows, recording_ids, names, assignment, preset))
    split = plan.split_digest(assignment.method, request.split_seed, placed)
    planned = list(plan.items(placed, split, preset.augment.copies, preset.decode.span_s))
    planning.add_items(database, run, pipeline, (planning.ItemRow(**asdict(item)) for item in planned))
    planning.add_bad_rows(database, run, map(_bad_row, found.bad))
    parts = {(recording.fold, recording.side) for recording in placed}
    planning.activate_run(
        database, run, [planning.JobRow(**asdict(job)) for job in plan.jobs(request, parts)],
        labels=sorted({recording.label for recording in placed}),
        split=_split_facts(split, request, assignment, names),
        facts=_facts(layout, preset, found, len(planned)),
    )  # fmt: skip
    lines = (f"{layout.name} at {layout.root}", *layout.notes, *found.summary.lines(), f"split: {assignment.method}",
             *assignment.notes)  # fmt: skip
    return Planned(run, len(placed), len(planned), lines)


def _placed(
    rows: list[Recording], ids: Iterable[int], names: list[str], assignment: Assignment, preset: Preset
) -> Iterator[plan.Placed]:
    for at, (row, row_id) in enumerate(zip(rows, ids, strict=True)):
        yield plan.Placed(
            row_id, row.digest, row.row.uri, row.row.label, names[at],
            int(assignment.fold[at]), int(assignment.side[at]),
            n_spans(row.n_frames, row.rate_hz, row.size_bytes, preset), _duration_s(row),
        )  # fmt: skip


def _duration_s(row: Recording) -> float:
    return row.n_frames / row.rate_hz if row.rate_hz else plan.UNKNOWN_DURATION_S


def _recording_row(recording: Recording) -> planning.RecordingRow:
    row = recording.row
    return planning.RecordingRow(
        row.uri, row.label, row.author, row.group, row.fold, row.split, recording.size_bytes, recording.mtime_ns,
        recording.digest, recording.n_frames, recording.rate_hz,
    )  # fmt: skip


def _bad_row(row: BadRow) -> dict[str, Any]:
    return {"line": row.line, "uri": row.uri, "reason": row.reason, "is_duplicate": row.reason.startswith("duplicate")}


def _split_facts(digest: str, request: plan.Request, assignment: Assignment, names: list[str]) -> dict[str, Any]:
    return {
        "digest": digest, "method": assignment.method, "seed": request.split_seed, "notes": list(assignment.notes),
        "folds": list(assignment.folds), "leaks": assignment.leaks, "counts": side_counts(assignment),
        "groups": len(set(names)),
    }  # fmt: skip


def _facts(layout: Layout, preset: Preset, found: Gathered, n_items: int) -> dict[str, Any]:
    return {
        "recordings": len(found.rows), "items": n_items, "chunks_a_span": preset.chunks_per_span,
        "summary": found.summary.as_dict(), "layout_notes": list(layout.notes), "versions": versions(),
    }  # fmt: skip


def versions() -> dict[str, str]:
    """Of Python and of every package that has a say in the result, as installed here."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
