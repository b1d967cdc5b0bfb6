"""What a run would do, without doing it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db import planning
from db.session import Database
from orchestrator import plan
from orchestrator.gather import Gathered, Progress, assignment_or_none, gather, know_nothing, lookup_in, side_counts
from tasks.audio.chunk import n_spans
from tasks.audio.preset import load_preset
from tasks.dataset.layouts import Layout, open_layout
from tasks.dataset.split import Assignment

_SHOWN_BAD_ROWS = 1000


@dataclass(frozen=True)
class Preview:
    """What a run would do; nothing is written."""

    lines: tuple[str, ...]
    values: dict[str, Any]


def preview(database: Database | None, path: Path, request: plan.Request, on_progress: Progress) -> Preview:
    """Counts, classes, groups, splits and bytes of the dataset at `path`; without a ledger every file is hashed.

    Raises LayoutError, PresetError, SplitError or another Impossible, with the sentence to show.
    """
    layout, preset = open_layout(path), load_preset(request.preset)
    dataset = planning.find_dataset(database, str(layout.root)) if database else None
    found = gather(layout, lookup_in(database, dataset) if database and dataset else know_nothing, on_progress)
    split, _ = assignment_or_none(request, found.rows)
    spans = sum(n_spans(row.n_frames, row.rate_hz, row.size_bytes, preset) for row in found.rows)
    return Preview(tuple(_lines(layout, found, split, spans)), _values(layout, found, split, spans))


def _lines(layout: Layout, found: Gathered, split: Assignment, spans: int) -> list[str]:
    return [
        f"{layout.name} at {layout.root}",
        *layout.notes,
        *found.summary.lines(),
        f"{spans:,} spans to preprocess",
        f"split: {split.method}",
        *(f"  {name}: {n:,} recordings" for name, n in side_counts(split).items()),
        *split.notes,
        *(f"line {row.line}: {row.uri}: {row.reason}" for row in found.bad[:_SHOWN_BAD_ROWS]),
    ]


def _values(layout: Layout, found: Gathered, split: Assignment, spans: int) -> dict[str, Any]:
    sides = {"method": split.method, "notes": list(split.notes), "counts": side_counts(split), "leaks": split.leaks}
    return {
        "layout": layout.name,
        "root": str(layout.root),
        **found.summary.as_dict(),
        "spans": spans,
        "split": sides,
        "bad_rows": [asdict(row) for row in found.bad],
    }
