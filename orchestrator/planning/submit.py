"""Writes a plan to the ledger: a dataset and a request become an active run."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from db.engine import Database
from db.ledger import planning
from domain import revisions
from domain.reasons import ReasonCode
from domain.states import Stage
from orchestrator.package_versions import versions
from orchestrator.planning.gather import Progress, Sink, lookup_in
from orchestrator.planning.plan import Plan
from orchestrator.planning.planner import make_plan, prepared, preprocessed_again
from orchestrator.planning.request import Request
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import UnusableRow
from tasks.dataset.manifest import FoundRecording

_PACKED_ANEW = (
    "shards of older versions are not used again, because two different parts could have one name; "
    "parts are packed again and models trained again, strips are kept"
)


@dataclass(frozen=True)
class Submitted:
    """An active run. lines: sentences about its plan for the user."""

    run: int
    n_recordings: int
    n_items: int
    lines: tuple[str, ...]


@contextmanager
def _imports_left_out() -> Iterator[None]:
    """Keeps the garbage collector from scanning imported modules again and again while millions of rows are made."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_imports_left_out()
def submit(database: Database, path: Path | Bucket, request: Request, report: Progress) -> Submitted:
    """Plans the dataset at `path` and leaves an active run in the ledger, or nothing at all.

    Recordings are written while they are read, so that memory does not grow with their number.

    Raises:
        LayoutError, PresetError, SplitError, Impossible: with the sentence to show.
    """
    begun = prepared(path, request)
    dataset = planning.ensure_dataset(database, str(begun.layout.root), begun.layout.name)
    presets = begun.selection.presets
    again = preprocessed_again(database, begun.selection)
    pipelines = [planning.ensure_pipeline(database, one.digest, one.name, one.as_dict()) for one in presets]
    shown = str(path.absolute()) if isinstance(path, Path) else f"{path}/{path.table_uri}".rstrip("/")
    run = planning.begin_run(database, dataset, pipelines[0], {**request.as_dict(), "path": shown})
    ids = array("q")
    sink = Sink(
        lambda rows: ids.extend(planning.ensure_recordings(database, dataset, map(recording_row, rows))),
        lambda rows: planning.add_bad_rows(database, run, map(bad_row, rows)),
    )
    try:
        plan = make_plan(begun, lookup_in(database, dataset), sink, report)
        return _write(database, run, pipelines, plan, ids, again)
    except BaseException:
        planning.discard_run(database, run)
        raise


def _write(
    database: Database, run: int, pipelines: list[int], plan: Plan, ids: array[int], again: list[str]
) -> Submitted:
    for at, pipeline in enumerate(pipelines):
        planning.add_items(database, run, pipeline, plan.items(at, ids))
    if plan.removal is not None:
        left_out = zip(compress(ids, plan.removal.is_dropped), plan.removal.reasons, strict=True)
        planning.add_left_out(database, run, left_out, ReasonCode.LEFT_OUT)
    facts = {
        "recordings": len(plan.recordings), "items": plan.n_items, "shard_revision": revisions.SHARDS,
        "summary": plan.summary.as_dict(), "layout_notes": list(plan.source.notes), "versions": versions(),
        "findings": plan.source.findings,
        "not_done": list(plan.selection.notes),
    }  # fmt: skip
    planning.activate_run(
        database, run, plan.jobs, pipelines,
        labels=sorted(plan.recordings.labels.names), split=plan.split(), facts=facts,
    )  # fmt: skip
    is_packed_anew = plan.request.until != Stage.PREPROCESS and planning.is_first_to_repack(database, run)
    lines = (*plan.lines(), *again, *([_PACKED_ANEW] if is_packed_anew else []))
    return Submitted(run, len(plan.recordings), plan.n_items, lines)


def recording_row(recording: FoundRecording) -> planning.RecordingRow:
    """The recording as the ledger keeps it."""
    row = recording.row
    # Where planning found no length, a worker that can decode the recording adds its further spans.
    is_on_trust = recording.is_on_trust or not recording.rate_hz
    return planning.RecordingRow(
        row.uri, row.label, row.author, row.group, row.fold, row.split, recording.size_bytes, recording.mtime_ns,
        recording.digest, recording.n_frames, recording.rate_hz, is_on_trust, *row.metadata,
    )  # fmt: skip


def bad_row(row: UnusableRow) -> dict[str, Any]:
    """The row as the ledger keeps it."""
    return {
        "line": row.line,
        "uri": row.uri,
        "reason": row.reason,
        "reason_code": row.code.value,
        "is_duplicate": row.code == ReasonCode.DUPLICATE_PATH,
    }
