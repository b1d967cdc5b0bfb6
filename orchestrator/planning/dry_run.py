"""`--dry-run`: makes the plan that `submit` would write, and prints it instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.engine import Database
from db.ledger import planning
from domain.plural import counted
from orchestrator.planning.gather import Progress, Sink, know_nothing, lookup_in
from orchestrator.planning.plan import Plan, subset_counts
from orchestrator.planning.planner import make_plan, prepared
from orchestrator.planning.request import Request
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import BadRow

SHOWN_BAD_ROWS = 1000
"""Unusable rows in the text for people; `--json` has all."""


@dataclass(frozen=True)
class DryRun:
    """A plan that is not written, and the dataset's unusable rows."""

    plan: Plan
    bad_rows: tuple[BadRow, ...]

    def lines(self) -> list[str]:
        """For people."""
        plan = self.plan
        jobs = ", ".join(f"{n} {kind}" for kind, n in plan.n_jobs().items())
        return [
            *plan.lines(),
            *(f"  {name}: {counted(n, 'recording')}" for name, n in subset_counts(plan.assignment).items()),
            f"{counted(plan.n_spans, 'span')} to preprocess, {counted(plan.n_items, 'item')} with augmented copies",
            f"{counted(len(plan.jobs), 'job')}" + (f": {jobs}" if jobs else ""),
            *(f"line {row.line}: {row.uri}: {row.reason}" for row in self.bad_rows[:SHOWN_BAD_ROWS]),
        ]

    def values(self) -> dict[str, Any]:
        """For `--json`."""
        plan = self.plan
        return {
            "layout": plan.source.layout,
            "root": plan.source.root,
            **plan.summary.as_dict(),
            "spans": plan.n_spans,
            "items": plan.n_items,
            "jobs": plan.n_jobs(),
            "split": plan.split(),
            "not_done": list(plan.selection.notes),
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
    lookup = lookup_in(database, dataset) if database and dataset else know_nothing
    bad: list[BadRow] = []

    def set_aside(rows: list[BadRow]) -> None:
        bad.extend(rows if most_bad_rows is None else rows[: most_bad_rows - len(bad)])

    plan = make_plan(begun, lookup, Sink(lambda _: None, set_aside), report)
    return DryRun(plan, tuple(bad))
