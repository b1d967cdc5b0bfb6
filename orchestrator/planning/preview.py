"""What a run would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.engine import Database
from db.ledger import planning
from domain.plural import counted
from orchestrator.planning import plan
from orchestrator.planning.gather import (
    Gathered,
    Progress,
    Sink,
    assignment_or_none,
    gather,
    know_nothing,
    looked_at,
    lookup_in,
    side_counts,
    taken_on_trust,
)
from orchestrator.planning.request import opened_layout, require_known, wanted
from tasks.dataset.bucket import Bucket
from tasks.dataset.layouts import BadRow, Layout
from tasks.dataset.split.assignment import Assignment

_SHOWN_BAD_ROWS = 1000


@dataclass(frozen=True)
class Preview:
    """What a run would do; nothing is written."""

    lines: tuple[str, ...]
    values: dict[str, Any]


def preview(database: Database | None, path: Path | Bucket, request: plan.Request, on_progress: Progress) -> Preview:
    """Counts, classes, groups, splits and bytes of the dataset at `path`; without a ledger every file is hashed.

    Raises LayoutError, PresetError, SplitError or another Impossible, with the sentence to show.
    """
    layout, asked = opened_layout(path, request), wanted(request)
    dataset = planning.find_dataset(database, str(layout.root)) if database else None
    lookup = lookup_in(database, dataset) if database and dataset else know_nothing
    bad: list[BadRow] = []
    rows = (taken_on_trust if request.trust_csv else looked_at)(layout, lookup)
    found = gather(layout, asked.presets, rows, Sink(lambda good: [0] * len(good), bad.extend), on_progress)
    require_known(request, found.summary)
    split, _ = assignment_or_none(request, found.roll)
    return Preview((*_lines(layout, found, bad, split), *asked.notes), _values(layout, found, bad, split))


def _lines(layout: Layout, found: Gathered, bad: list[BadRow], split: Assignment) -> list[str]:
    return [
        f"{layout.name} at {layout.root}",
        *layout.notes,
        *found.summary.lines(),
        f"{counted(_n_spans(found), 'span')} to preprocess",
        f"split: {split.method}",
        *(f"  {name}: {counted(n, 'recording')}" for name, n in side_counts(split).items()),
        *split.notes,
        *(f"line {row.line}: {row.uri}: {row.reason}" for row in bad[:_SHOWN_BAD_ROWS]),
    ]


def _shown(row: BadRow) -> dict[str, object]:
    return {"line": row.line, "uri": row.uri, "reason": row.reason, "reason_code": row.code.value}


def _n_spans(found: Gathered) -> int:
    return sum(map(sum, found.roll.n_spans))


def _values(layout: Layout, found: Gathered, bad: list[BadRow], split: Assignment) -> dict[str, Any]:
    sides = {"method": split.method, "notes": list(split.notes), "counts": side_counts(split), "leaks": split.leaks}
    return {
        "layout": layout.name,
        "root": str(layout.root),
        **found.summary.as_dict(),
        "spans": _n_spans(found),
        "split": sides,
        "bad_rows": [_shown(row) for row in bad],
    }
