"""`--dry-run`: makes the plan that `submit` would write, and prints it instead."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any

from db.engine import Database
from db.ledger import planning
from domain.plural import counted
from orchestrator.planning.gather import Progress, Sink, lookup_in, nothing_known
from orchestrator.planning.plan import Plan, subset_counts
from orchestrator.planning.planner import make_plan, prepared, preprocessed_again
from orchestrator.planning.request import Request
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import UnusableRow
from tasks.dataset.manifest import FoundRecording

SHOWN_BAD_ROWS = 1000
"""Unusable rows in the text for people; `--json` has all."""


@dataclass(frozen=True)
class DryRun:
    """A plan that is not written, and the dataset's unusable rows."""

    plan: Plan
    bad_rows: tuple[UnusableRow, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """URI and reason of each recording that `--drop-leaks` leaves out."""
    preprocessed_again: tuple[str, ...] = ()
    """Sentences on strips of an earlier version."""

    def lines(self) -> list[str]:
        """For people."""
        plan = self.plan
        jobs = ", ".join(f"{n} {kind}" for kind, n in plan.n_jobs().items())
        return [
            *plan.lines(),
            *self.preprocessed_again,
            *(f"  {name}: {counted(n, 'recording')}" for name, n in subset_counts(plan.assignment).items()),
            f"{counted(plan.n_spans, 'span')} to preprocess, {counted(plan.n_items, 'item')} with augmented copies",
            f"{counted(len(plan.jobs), 'job')}" + (f": {jobs}" if jobs else ""),
            *(f"{row.place}: {row.reason}" for row in self.bad_rows[:SHOWN_BAD_ROWS]),
            *(f"{uri}: {reason}" for uri, reason in self.left_out[:SHOWN_BAD_ROWS]),
        ]

    def values(self) -> dict[str, Any]:
        """For `--json`."""
        plan = self.plan
        return {
            "layout": plan.source.layout,
            "root": plan.source.root,
            **plan.summary.as_dict(),
            "notes": list(plan.source.notes),
            **plan.source.findings,
            "spans": plan.n_spans,
            "items": plan.n_items,
            "jobs": plan.n_jobs(),
            "split": plan.split(),
            "not_done": list(plan.selection.notes),
            "preprocessed_again": list(self.preprocessed_again),
            "left_out": [{"recording": uri, "reason": reason} for uri, reason in self.left_out],
            "bad_rows": [
                {"line": row.line, "uri": row.uri, "reason": row.reason, "reason_code": row.code.value}
                for row in self.bad_rows
            ],
        }


def dry_run(
    database: Database | None, path: Path | Bucket, request: Request, report: Progress, most_bad_rows: int | None = None
) -> DryRun:
    """The plan for the dataset at `path`; nothing is written. Without a ledger every file is hashed.

    most_bad_rows: unusable rows kept in memory at most; None keeps all.

    Raises:
        LayoutError, PresetError, SplitError, Impossible: with the sentence to show.
    """
    begun = prepared(path, request)
    dataset = planning.find_dataset(database, str(begun.layout.root)) if database else None
    lookup = lookup_in(database, dataset) if database and dataset else nothing_known
    bad: list[UnusableRow] = []
    uris: list[str] = []

    def reject(rows: list[UnusableRow]) -> None:
        bad.extend(rows if most_bad_rows is None else rows[: most_bad_rows - len(bad)])

    def keep(found: list[FoundRecording]) -> None:
        if request.drop_leaks:  # only the recordings that it leaves out are named
            uris.extend(recording.row.uri for recording in found)

    plan = make_plan(begun, lookup, Sink(keep, reject), report)
    left_out = () if plan.removal is None else tuple(zip(
        compress(uris, plan.removal.is_dropped), plan.removal.reasons, strict=True
    ))  # fmt: skip
    return DryRun(plan, tuple(bad), left_out, tuple(preprocessed_again(database, begun.selection)) if database else ())
