"""A dataset, read once as a stream: the roll of its recordings, its bad rows, and the sides they would take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from db.engine import Database
from db.ledger import planning
from domain.errors import Impossible
from domain.plural import counted
from domain.subsets import HOLDOUT, Subset
from domain.work import KnownFile
from orchestrator.planning import plan
from orchestrator.planning.probing import Probes
from tasks.audio.chunk import n_spans
from tasks.audio.preset import Preset
from tasks.dataset.index import Roll
from tasks.dataset.layouts import BadRow, Layout
from tasks.dataset.manifest import Recording, Summary, recordings, trusted
from tasks.dataset.split.assignment import Assignment, SplitError, SplitSpec, assign
from tasks.dataset.split.groups import Coded, contradictions, groups

_READERS = 8
"""Threads that hash, and wait for children that probe: they wait for the disk more than they compute."""
_TOLD_EVERY = 100
_CLASSES_LISTED = 5

Progress = Callable[[int], None]
Lookup = Callable[[list[str]], dict[str, KnownFile]]


@dataclass
class Gathered:
    """What was found: counts for people, and what a split needs of each recording, and no more."""

    roll: Roll
    summary: Summary = field(default_factory=Summary)


@dataclass(frozen=True)
class Sink:
    """Where what is found goes, a batch at a time.

    keep: recordings to their ids.  set_aside: bad rows.
    """

    keep: Callable[[list[Recording]], Iterable[int]]
    set_aside: Callable[[list[BadRow]], object]


def gather(
    layout: Layout, presets: Sequence[Preset], found: Iterator[Recording | BadRow], sink: Sink, tell: Progress
) -> Gathered:
    """Every row of the layout, read once; `tell` hears the number of rows read, again and again.

    presets: each cuts a recording into spans in its own way.

    Raises Impossible when none is usable.
    """
    gathered = Gathered(Roll(len(presets)))
    told = _telling(found, tell)
    while batch := list(islice(told, planning.BATCH)):
        for entry in batch:
            gathered.summary.add(entry)
        good = [entry for entry in batch if isinstance(entry, Recording)]
        for entry, row_id in zip(good, sink.keep(good), strict=True):
            cuts = [n_spans(entry.n_frames, entry.rate_hz, entry.size_bytes, preset) for preset in presets]
            gathered.roll.add(entry, row_id, cuts)
        sink.set_aside([entry for entry in batch if isinstance(entry, BadRow)])
    if not len(gathered.roll):
        raise Impossible(f"no usable recording in {layout.root}: {_why_empty(gathered)}")
    return gathered


def _telling(found: Iterator[Recording | BadRow], tell: Progress) -> Iterator[Recording | BadRow]:
    for n, entry in enumerate(found, start=1):
        if n % _TOLD_EVERY == 0:
            tell(n)
        yield entry


def _why_empty(found: Gathered) -> str:
    reasons = "; ".join(f"{counted(n, 'time')} {code.words}" for code, n in found.summary.bad.most_common(3))
    return reasons or "it holds no audio files"


def looked_at(layout: Layout, lookup: Lookup) -> Iterator[Recording | BadRow]:
    """The layout's recordings, each file hashed and measured unless the lookup knows it."""
    with Probes() as probes:
        yield from recordings(layout.rows(), layout.root, lookup, probes.probe, _READERS)


def taken_on_trust(layout: Layout, lookup: Lookup) -> Iterator[Recording | BadRow]:
    """The layout's recordings, no file looked at: what the lookup knows of some was found out by workers."""
    return trusted(layout.rows(), lookup)


def know_nothing(_uris: list[str]) -> dict[str, KnownFile]:
    """Every file is new."""
    return {}


def lookup_in(database: Database, dataset: int) -> Lookup:
    """What the ledger remembers of the dataset's files."""
    if not planning.has_read_files(database, dataset):
        return know_nothing

    def known(uris: list[str]) -> dict[str, KnownFile]:
        return planning.known_files(database, dataset, uris)

    return known


def assignment(request: plan.Request, roll: Roll) -> tuple[Assignment, Coded]:
    """The split asked for, and the final group of each recording. Raises SplitError."""
    found = groups(roll.identities, roll.wider)
    spec = SplitSpec(n_folds=request.n_folds, seed=request.split_seed)
    split = assign(roll.labels, found, roll.folds, roll.sides, spec)
    return replace(split, notes=(*split.notes, *_contradiction_notes(roll))), found


def _contradiction_notes(roll: Roll) -> list[str]:
    labels = roll.labels
    rows = contradictions(roll.identities, labels)
    if not len(rows):
        return []
    names = sorted({str(labels[row]) for row in rows.tolist()})
    listed = ", ".join(names[:_CLASSES_LISTED]) + (", …" if len(names) > _CLASSES_LISTED else "")
    are = counted(len(rows), "recording has an exact copy", "recordings have exact copies")
    return [f"{are} under another label ({listed}): at most one label of each is right"]


def assignment_or_none(request: plan.Request, roll: Roll) -> tuple[Assignment, Coded]:
    """Preprocessing alone needs no split: what cannot be split stays on the training side."""
    try:
        return assignment(request, roll)
    except SplitError as error:
        if request.until != "preprocess":
            raise
        return _undivided(len(roll), str(error)), groups(roll.identities, roll.wider)


def _undivided(n: int, why: str) -> Assignment:
    fold, side = np.full(n, HOLDOUT, np.int16), np.full(n, Subset.TRAIN, np.int8)
    return Assignment(fold, side, method="not at all", notes=(why,), folds=(), leaks=0)


def side_counts(assignment: Assignment) -> dict[str, int]:
    """Recordings of each side or fold, by its name."""
    if assignment.folds:
        return {f"fold {fold}": int((assignment.fold == fold).sum()) for fold in assignment.folds}
    return {side.name.lower(): int((assignment.subset == side).sum()) for side in Subset}
