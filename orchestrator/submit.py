"""A path and a request become a run in the ledger: the shell around `plan`."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from db import planning
from db.session import Database
from orchestrator import plan
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset, load_preset
from tasks.audio.recording import probe
from tasks.dataset.layouts import BadRow, Layout, open_layout
from tasks.dataset.manifest import Known, Recording, Summary, recordings
from tasks.dataset.groups import groups
from tasks.dataset.split import Assignment, Side, SplitError, SplitSpec, assign
from tasks.failures import Impossible

_READERS = 8
"""Threads that hash and probe: they wait for the disk more than they compute."""
_SHOWN_BAD_ROWS = 1000
_PACKAGES = (
    "dawn-chorus", "numpy", "scipy", "librosa", "soundfile", "soxr", "noisereduce", "audiomentations", "pillow",
    "pyarrow", "scikit-learn", "keras", "tensorflow", "tensorflow-cpu", "celery", "sqlalchemy",
)  # fmt: skip

Progress = Callable[[int], None]


@dataclass
class Gathered:
    """What was found, column by column: what a split needs of each recording, and no more."""

    summary: Summary = field(default_factory=Summary)
    bad: list[BadRow] = field(default_factory=list)
    rows: list[Recording] = field(default_factory=list)


@dataclass(frozen=True)
class Preview:
    """What a run would do; nothing is written."""

    lines: tuple[str, ...]
    values: dict[str, Any]


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
    run = planning.begin_run(database, dataset, pipeline, request.as_dict())
    try:
        found = gather(layout, _lookup(database, dataset), on_progress)
        return _write(database, (run, dataset, pipeline), layout, preset, request, found)
    except BaseException:
        planning.discard_run(database, run)
        raise


def preview(database: Database | None, path: Path, request: plan.Request, on_progress: Progress) -> Preview:
    """Counts, classes, groups, splits and bytes of the dataset at `path`; without a ledger every file is hashed."""
    layout, preset = open_layout(path), load_preset(request.preset)
    dataset = planning.find_dataset(database, str(layout.root)) if database else None
    lookup = _lookup(database, dataset) if database and dataset else _know_nothing
    found = gather(layout, lookup, on_progress)
    assignment, _ = _assignment(request, found.rows)
    spans = sum(_n_spans(recording, preset) for recording in found.rows)
    sides = _side_counts(assignment)
    lines = (f"{layout.name} at {layout.root}", *layout.notes, *found.summary.lines(), f"{spans:,} spans to preprocess",
             f"split: {assignment.method}", *(f"  {name}: {n:,} recordings" for name, n in sides.items()),
             *assignment.notes, *(f"line {row.line}: {row.uri}: {row.reason}" for row in found.bad[:_SHOWN_BAD_ROWS]))  # fmt: skip
    values = {
        "layout": layout.name, "root": str(layout.root), **found.summary.as_dict(), "spans": spans,
        "split": {"method": assignment.method, "notes": list(assignment.notes), "counts": sides, "leaks": assignment.leaks},
        "bad_rows": [asdict(row) for row in found.bad],
    }  # fmt: skip
    return Preview(lines, values)


def gather(layout: Layout, lookup: Callable[[list[str]], dict[str, Known]], on_progress: Progress) -> Gathered:
    """Every row of the layout, read once."""
    found = Gathered()
    for entry in recordings(layout.rows(), layout.root, lookup, probe, _READERS):
        found.summary.add(entry)
        if isinstance(entry, BadRow):
            found.bad.append(entry)
        else:
            found.rows.append(entry)
        if (len(found.rows) + len(found.bad)) % 200 == 0:
            on_progress(len(found.rows))
    if not found.rows:
        raise Impossible(f"no usable recording in {layout.root}: {_why_empty(found)}")
    return found


def _why_empty(found: Gathered) -> str:
    reasons = "; ".join(f"{n} × {reason}" for reason, n in found.summary.bad.most_common(3))
    return reasons or "it holds no audio files"


def _know_nothing(_uris: list[str]) -> dict[str, Known]:
    return {}


def _lookup(database: Database, dataset: int) -> Callable[[list[str]], dict[str, Known]]:
    def lookup(uris: list[str]) -> dict[str, Known]:
        return {uri: Known(**asdict(known)) for uri, known in planning.known_files(database, dataset, uris).items()}

    return lookup


def _assignment(request: plan.Request, rows: list[Recording]) -> tuple[Assignment, list[str]]:
    names = groups([row.digest for row in rows], [row.row.author for row in rows], [row.row.group for row in rows])
    assignment = assign(
        [row.row.label for row in rows],
        names,
        [row.row.fold for row in rows],
        [_side(row.row.split) for row in rows],
        SplitSpec(n_folds=request.n_folds, seed=request.split_seed),
    )
    return assignment, names


def _side(split: str | None) -> Side | None:
    return Side[split.upper()] if split else None


def _write(
    database: Database, ids: tuple[int, int, int], layout: Layout, preset: Preset, request: plan.Request, found: Gathered
) -> Planned:
    run, dataset, pipeline = ids
    assignment, names = _assignment_or_none(request, found.rows)
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


def _assignment_or_none(request: plan.Request, rows: list[Recording]) -> tuple[Assignment, list[str]]:
    """Preprocessing alone needs no split: what cannot be split stays on the training side."""
    try:
        return _assignment(request, rows)
    except SplitError as error:
        if request.until != "preprocess":
            raise
        return Assignment.undivided(len(rows), str(error)), [row.digest for row in rows]


def _placed(
    rows: list[Recording], ids: Iterable[int], names: list[str], assignment: Assignment, preset: Preset
) -> Iterator[plan.Placed]:
    for at, (row, row_id) in enumerate(zip(rows, ids, strict=True)):
        yield plan.Placed(
            row_id, row.digest, row.row.uri, row.row.label, names[at], int(assignment.fold[at]), int(assignment.side[at]),
            _n_spans(row, preset), row.n_frames / row.rate_hz if row.rate_hz else plan.UNKNOWN_DURATION_S,
        )  # fmt: skip


def _n_spans(row: Recording, preset: Preset) -> int:
    return n_spans(row.n_frames, row.rate_hz, row.size_bytes, preset)


def _recording_row(recording: Recording) -> planning.RecordingRow:
    row = recording.row
    return planning.RecordingRow(
        row.uri, row.label, row.author, row.group, row.fold, row.split, recording.size_bytes, recording.mtime_ns,
        recording.digest, recording.n_frames, recording.rate_hz,
    )  # fmt: skip


def _bad_row(row: BadRow) -> dict[str, Any]:
    return {"line": row.line, "uri": row.uri, "reason": row.reason, "is_duplicate": row.reason.startswith("duplicate")}


def _side_counts(assignment: Assignment) -> dict[str, int]:
    if assignment.folds:
        return {f"fold {fold}": int((assignment.fold == fold).sum()) for fold in assignment.folds}
    return {side.name.lower(): int((assignment.side == side).sum()) for side in Side}


def _split_facts(digest: str, request: plan.Request, assignment: Assignment, names: list[str]) -> dict[str, Any]:
    return {
        "digest": digest, "method": assignment.method, "seed": request.split_seed, "notes": list(assignment.notes),
        "folds": list(assignment.folds), "leaks": assignment.leaks, "counts": _side_counts(assignment),
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
