"""A dataset, read once: its recordings and bad rows, and the sides they would take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from db import planning
from db.session import Database
from orchestrator import plan
from tasks.audio.recording import probe
from tasks.dataset.groups import groups
from tasks.dataset.layouts import BadRow, Layout
from tasks.dataset.manifest import Known, Recording, Summary, recordings
from tasks.dataset.split import Assignment, Side, SplitError, SplitSpec, assign
from tasks.failures import Impossible

_READERS = 8
"""Threads that hash and probe: they wait for the disk more than they compute."""

Progress = Callable[[int], None]
Lookup = Callable[[list[str]], dict[str, Known]]


@dataclass
class Gathered:
    """What was found, column by column: what a split needs of each recording, and no more."""

    summary: Summary = field(default_factory=Summary)
    bad: list[BadRow] = field(default_factory=list)
    rows: list[Recording] = field(default_factory=list)


def gather(layout: Layout, lookup: Lookup, on_progress: Progress) -> Gathered:
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
    reasons = "; ".join(f"{n} times {reason}" for reason, n in found.summary.bad.most_common(3))
    return reasons or "it holds no audio files"


def know_nothing(_uris: list[str]) -> dict[str, Known]:
    """Every file is new."""
    return {}


def lookup_in(database: Database, dataset: int) -> Lookup:
    """What the ledger remembers of the dataset's files."""

    def known(uris: list[str]) -> dict[str, Known]:
        return {uri: Known(**asdict(known)) for uri, known in planning.known_files(database, dataset, uris).items()}

    return known


def assignment(request: plan.Request, rows: list[Recording]) -> tuple[Assignment, list[str]]:
    """The split asked for, and the final group of each recording. Raises SplitError."""
    names = groups([row.digest for row in rows], [row.row.author for row in rows], [row.row.group for row in rows])
    found = assign(
        [row.row.label for row in rows],
        names,
        [row.row.fold for row in rows],
        [_side(row.row.split) for row in rows],
        SplitSpec(n_folds=request.n_folds, seed=request.split_seed),
    )
    return found, names


def _side(split: str | None) -> Side | None:
    return Side[split.upper()] if split else None


def assignment_or_none(request: plan.Request, rows: list[Recording]) -> tuple[Assignment, list[str]]:
    """Preprocessing alone needs no split: what cannot be split stays on the training side."""
    try:
        return assignment(request, rows)
    except SplitError as error:
        if request.until != "preprocess":
            raise
        return _undivided(rows, str(error)), [row.digest for row in rows]


def _undivided(rows: list[Recording], why: str) -> Assignment:
    fold, side = np.full(len(rows), plan.HOLDOUT, np.int16), np.full(len(rows), Side.TRAIN, np.int8)
    return Assignment(fold, side, method="not at all", notes=(why,), folds=(), leaks=0)


def side_counts(assignment: Assignment) -> dict[str, int]:
    """Recordings of each side or fold, by its name."""
    if assignment.folds:
        return {f"fold {fold}": int((assignment.fold == fold).sum()) for fold in assignment.folds}
    return {side.name.lower(): int((assignment.side == side).sum()) for side in Side}
