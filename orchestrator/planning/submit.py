"""A path and a request become a run in the ledger: the shell around `plan`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db.engine import Database
from db.ledger import planning
from domain import revisions
from domain.reasons import ReasonCode
from domain.states import Stage
from orchestrator.package_versions import versions
from orchestrator.planning import graph, plan
from orchestrator.planning.gather import (
    Gathered,
    Progress,
    Sink,
    assignment_or_none,
    gather,
    looked_at,
    lookup_in,
    side_counts,
    taken_on_trust,
)
from orchestrator.planning.request import Wanted, opened_layout, require_known, wanted
from tasks.dataset.bucket import Bucket
from tasks.dataset.index import Roll
from tasks.dataset.layouts import BadRow, Layout
from tasks.dataset.manifest import Recording
from tasks.dataset.split.assignment import Assignment
from tasks.dataset.split.groups import Coded

_PACKED_ANEW = (
    "shards of older versions are not used again, because two different parts could have one name; "
    "parts are packed again and models trained again, strips are kept"
)


@dataclass(frozen=True)
class Planned:
    """A run that the dispatcher may have."""

    run: int
    n_recordings: int
    n_items: int
    lines: tuple[str, ...]


@contextmanager
def _imports_left_out() -> Iterator[None]:
    """Whatever there is now is not looked at for garbage again and again while rows are made by the million."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_imports_left_out()
def submit(database: Database, path: Path | Bucket, request: plan.Request, on_progress: Progress) -> Planned:
    """Plans the dataset at `path` and leaves an active run in the ledger, or nothing at all.

    Raises LayoutError, PresetError, SplitError or another Impossible, with the sentence to show.
    """
    layout, asked = opened_layout(path, request), wanted(request)
    dataset = planning.keep_dataset(database, str(layout.root), layout.name)
    pipelines = [planning.keep_pipeline(database, one.digest, one.name, one.as_dict()) for one in asked.presets]
    run = planning.begin_run(database, dataset, pipelines[0], {**request.as_dict(), "path": _shown(path)})
    try:
        rows = (taken_on_trust if request.trust_csv else looked_at)(layout, lookup_in(database, dataset))
        found = gather(layout, asked.presets, rows, _into_ledger(database, run, dataset), on_progress)
        require_known(request, found.summary)
        return _write(database, run, _Cuts(asked, pipelines), layout, request, found)
    except BaseException:
        planning.discard_run(database, run)
        raise


def _shown(path: Path | Bucket) -> str:
    return str(path.absolute()) if isinstance(path, Path) else f"{path}/{path.table_uri}".rstrip("/")


def _into_ledger(database: Database, run: int, dataset: int) -> Sink:
    return Sink(
        lambda rows: planning.keep_recordings(database, dataset, map(_recording_row, rows)),
        lambda rows: planning.add_bad_rows(database, run, map(_bad_row, rows)),
    )


@dataclass(frozen=True)
class _Cuts:
    """The ways in which the run's recordings are cut: presets and, in their order, the ledger's pipelines."""

    wanted: Wanted
    pipelines: list[int]


def _write(
    database: Database, run: int, cuts: _Cuts, layout: Layout, request: plan.Request, found: Gathered
) -> Planned:
    roll = found.roll
    assignment, groups = assignment_or_none(request, roll)
    split = plan.split_digest(assignment.method, request.split_seed, _placed(roll, groups, assignment))
    n_items = 0
    for at, (preset, pipeline) in enumerate(zip(cuts.wanted.presets, cuts.pipelines, strict=True)):
        placed = _placed(roll, groups, assignment, at)
        items = plan.items(placed, split, preset.augment.copies, preset.decode.span_s)
        n_items += planning.add_items(database, run, pipeline, items)
    parts = set(zip(assignment.fold.tolist(), assignment.subset.tolist(), strict=True))
    jobs = graph.jobs(request, parts, cuts.wanted.candidates)
    planning.activate_run(
        database, run, [_job_row(job, cuts.pipelines) for job in jobs],
        labels=sorted(roll.labels.names),
        split=_split_facts(split, request, assignment, len(groups.names)),
        facts=_facts(layout, found, n_items) | {"not_done": list(cuts.wanted.notes)},
    )  # fmt: skip
    is_packed_anew = request.until != Stage.PREPROCESS and planning.is_first_to_pack_anew(database, run)
    packed_anew = [_PACKED_ANEW] if is_packed_anew else []
    lines = (f"{layout.name} at {layout.root}", *layout.notes, *found.summary.lines(), f"split: {assignment.method}",
             *assignment.notes, *cuts.wanted.notes, *packed_anew)  # fmt: skip
    return Planned(run, len(roll), n_items, lines)


def _job_row(job: graph.PlannedJob, pipelines: list[int]) -> planning.JobRow:
    values = asdict(job)
    pipeline = pipelines[values.pop("preset")]
    return planning.JobRow(**values, pipeline_id=pipeline)


def _placed(roll: Roll, groups: Coded, assignment: Assignment, preset: int = 0) -> Iterator[plan.Placed]:
    labels = roll.labels
    columns = (labels.codes, groups.codes, assignment.fold, assignment.subset)
    numbers = zip(*(column.data for column in columns), strict=True)  # their buffers give plain ints, one at a time
    facts = zip(roll.ids, roll.identities_as_text(), roll.orders, roll.n_spans[preset], roll.durations_s, strict=True)
    for (row_id, identity, order, n_spans, duration_s), (label, group, fold, side) in zip(facts, numbers, strict=True):
        names = labels.names[label], groups.names[group]
        yield plan.Placed(row_id, identity, order, *names, fold, side, n_spans, duration_s)


def _recording_row(recording: Recording) -> planning.RecordingRow:
    row = recording.row
    return planning.RecordingRow(
        row.uri, row.label, row.author, row.group, row.fold, row.split, recording.size_bytes, recording.mtime_ns,
        recording.digest, recording.n_frames, recording.rate_hz, recording.is_on_trust, *row.metadata,
    )  # fmt: skip


def _bad_row(row: BadRow) -> dict[str, Any]:
    return {
        "line": row.line,
        "uri": row.uri,
        "reason": row.reason,
        "is_duplicate": row.code == ReasonCode.DUPLICATE_PATH,
    }


def _split_facts(digest: str, request: plan.Request, assignment: Assignment, n_groups: int) -> dict[str, Any]:
    return {
        "digest": digest, "method": assignment.method, "seed": request.split_seed, "notes": list(assignment.notes),
        "folds": list(assignment.folds), "leaks": assignment.leaks, "counts": side_counts(assignment),
        "groups": n_groups,
    }  # fmt: skip


def _facts(layout: Layout, found: Gathered, n_items: int) -> dict[str, Any]:
    return {
        "recordings": len(found.roll), "items": n_items, "shard_revision": revisions.SHARDS,
        "summary": found.summary.as_dict(), "layout_notes": list(layout.notes), "versions": versions(),
    }  # fmt: skip
