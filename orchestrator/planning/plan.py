"""The plan of a run: follows from a request and the recordings found. Pure: values in, values out.

`submit` writes this value to the ledger, `--dry-run` prints it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import compress, repeat
from typing import Any, NamedTuple

import numpy as np

from domain.digests import Digest, number_of
from domain.frozen_words import NOT_SPLIT
from domain.plural import counted
from domain.states import Stage
from domain.subsets import HOLDOUT, Subset
from domain.work import PlannedItem, PlannedJob
from orchestrator.planning import graph
from orchestrator.planning.candidates import Selection
from orchestrator.planning.request import Request
from tasks.dataset.index import RecordingIndex
from tasks.dataset.manifest import Summary
from tasks.dataset.split.assignment import Assignment, SplitError, SplitSpec, assign
from tasks.dataset.split.class_counts import Bools
from tasks.dataset.split.divided import crossing_notes
from tasks.dataset.split.groups import Coded, contradictions, groups, n_copies
from tasks.dataset.split.leak_removal import leak_removal

WORK_S_A_SECOND = 0.0012
"""Estimated seconds of one core a second of audio takes."""
WORK_S_A_FILE = 0.003
UNKNOWN_DURATION_S = 30.0
"""Assumed for a recording whose length is not known."""
_NAMES_LISTED = 5


class Removal(NamedTuple):
    """The recordings that `--drop-leaks` leaves out.

    is_dropped: (n,) of all recordings found.  reasons: a sentence for each that is left out, in their order.
    """

    is_dropped: Bools
    reasons: tuple[str, ...]


class Placed(NamedTuple):
    """One recording and where the split put it.

    identity: what copies have in common.  order: 64 bits of its own.  duration_s: 0 where it is not known.
    """

    id: int
    identity: str
    order: int
    label: str
    group: str
    fold: int
    subset: int
    n_spans: int
    duration_s: float


@dataclass(frozen=True)
class PlannedDataset:
    """The dataset as its layout describes it. findings: counts of what its rows do not show, for `--json`."""

    layout: str
    root: str
    notes: tuple[str, ...]
    findings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a run will do. Columns instead of rows: about 60 bytes a recording.

    groups: each recording's final group.
    removal: the recordings that were found and are left out; None if nothing was to be left out.
    """

    request: Request
    selection: Selection
    source: PlannedDataset
    recordings: RecordingIndex
    summary: Summary
    assignment: Assignment
    groups: Coded
    removal: Removal | None = None

    @cached_property
    def jobs(self) -> list[PlannedJob]:
        """The jobs, each after those it needs."""
        parts = set(zip(self.assignment.fold.tolist(), self.assignment.subset.tolist(), strict=True))
        return graph.jobs(self.request, parts, self.selection.candidates)

    @cached_property
    def split_digest(self) -> str:
        """The name of the split."""
        return split_digest(
            self.assignment.method, self.request.split_seed, self._placed(0, repeat(0, len(self.recordings)))
        )

    @property
    def n_spans(self) -> int:
        """Spans of all recordings, once for each preset."""
        return sum(int(spans.sum(dtype=np.int64)) for spans in map(np.asarray, self.recordings.n_spans))

    @property
    def n_items(self) -> int:
        """The number of items: spans, and augmented copies of those that may be trained on."""
        is_trained_on = self.assignment.subset == Subset.TRAIN
        n = self.n_spans
        for spans, preset in zip(self.recordings.n_spans, self.selection.presets, strict=True):
            n += preset.augment.copies * int(np.asarray(spans)[is_trained_on].sum(dtype=np.int64))
        return n

    def items(self, preset: int, ids: array[int]) -> Iterator[PlannedItem]:
        """The items of one preset, made one at a time.

        preset: its position in the selection.  ids: the ledger's row of each recording that was found.
        """
        chosen = self.selection.presets[preset]
        kept = ids if self.removal is None else compress(ids, ~self.removal.is_dropped)
        return items(self._placed(preset, kept), self.split_digest, chosen.augment.copies, chosen.decode.span_s)

    def _placed(self, preset: int, ids: Iterable[int]) -> Iterator[Placed]:
        found, split = self.recordings, self.assignment
        labels = found.labels
        columns = (labels.codes, self.groups.codes, split.fold, split.subset)
        numbers = zip(*(column.data for column in columns), strict=True)  # buffers give plain ints, one at a time
        facts = zip(
            ids, found.identities_as_text(), found.orders, found.n_spans[preset], found.durations_s, strict=True
        )
        for (row_id, identity, order, n_spans, duration_s), (label, group, fold, subset) in zip(
            facts, numbers, strict=True
        ):
            names = labels.names[label], self.groups.names[group]
            yield Placed(row_id, identity, order, *names, fold, subset, n_spans, duration_s)

    def split(self) -> dict[str, Any]:
        """How the recordings are divided, as the ledger keeps it."""
        made = self.assignment
        return {
            "digest": self.split_digest, "method": made.method, "seed": self.request.split_seed,
            "notes": list(made.notes), "folds": list(made.folds), "leaks": made.leaks, "counts": subset_counts(made),
            "groups": len(self.groups.names), "copies": n_copies(self.recordings.identities),
            "left_out": 0 if self.removal is None else len(self.removal.reasons),
        }  # fmt: skip

    def n_jobs(self) -> dict[str, int]:
        """The number of jobs of each kind."""
        return dict(Counter(job.kind for job in self.jobs))

    def lines(self) -> tuple[str, ...]:
        """The plan for people."""
        source, split = self.source, self.assignment
        return (f"{source.layout} at {source.root}", *source.notes, *self.summary.lines(), f"split: {split.method}",
                *split.notes, *self.selection.notes)  # fmt: skip


def plan_of(
    request: Request, selection: Selection, source: PlannedDataset, recordings: RecordingIndex, summary: Summary
) -> Plan:
    """The plan for these recordings.

    Raises:
        SplitError: the recordings cannot be divided as asked. A run that ends with preprocessing needs no split:
            all its recordings are for training.
    """
    found = groups(recordings.identities, recordings.declared_groups)
    spec = SplitSpec(n_folds=request.n_folds, seed=request.split_seed)
    removal, removal_notes = None, tuple[str, ...]()
    if request.drop_leaks:
        recordings, removal, removal_notes = _without_leaks(request, recordings, found)
        found = groups(recordings.identities, recordings.declared_groups)
    try:
        split = assign(recordings.labels, found, recordings.folds, recordings.subsets, spec, recordings.identities)
    except SplitError as error:
        if request.until != Stage.PREPROCESS:
            raise
        split = _undivided(len(recordings), str(error))
    else:
        more = (*crossing_notes(recordings, found, split), *_copy_notes(recordings), *_contradiction_notes(recordings))
        split = replace(split, notes=(*removal_notes, *split.notes, *more))
    return Plan(request, selection, source, recordings, summary, split, found, removal)


def _without_leaks(
    request: Request, recordings: RecordingIndex, found: Coded
) -> tuple[RecordingIndex, Removal | None, tuple[str, ...]]:
    """The recordings without those that `--drop-leaks` leaves out, these, and notes for the user."""
    leaks = leak_removal(found, recordings.folds, recordings.subsets)
    unread = "with --trust-csv exact copies are not known yet; --drop-leaks looked at groups and authors only"
    notes = (leaks.note, *([unread] if request.trust_csv else []))
    if not leaks.is_dropped.any():
        return recordings, None, notes
    kept = recordings.only(~leaks.is_dropped)
    if (kept.subsets == Subset.TEST).all():
        raise SplitError(
            "--drop-leaks leaves no recording to train on: every group is tested; leave it away, or add recordings of "
            "other groups"
        )
    empty = sorted({*recordings.labels.names} - {*kept.labels.names})
    if empty and not request.allow_empty_classes:
        raise SplitError(
            f"--drop-leaks leaves no recording of {counted(len(empty), 'class', 'classes')} ({_listed(empty)}); "
            "leave it away, or go on: --allow-empty-classes"
        )
    reasons = (leaks.reason(str(found[row])) for row in np.flatnonzero(leaks.is_dropped).tolist())
    return kept, Removal(leaks.is_dropped, tuple(reasons)), notes


def _copy_notes(recordings: RecordingIndex) -> list[str]:
    n = n_copies(recordings.identities)
    are = counted(n, "recording is an exact copy of another", "recordings are exact copies of others")
    return [f"{are}; copies are in one group"] if n else []


def _contradiction_notes(recordings: RecordingIndex) -> list[str]:
    labels = recordings.labels
    rows = contradictions(recordings.identities, labels)
    if not len(rows):
        return []
    names = sorted({str(labels[row]) for row in rows.tolist()})
    listed = _listed(names)
    are = counted(len(rows), "recording has an exact copy", "recordings have exact copies")
    return [f"{are} under another label ({listed}): at most one label of each is right"]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMES_LISTED]) + (", …" if len(names) > _NAMES_LISTED else "")


def _undivided(n: int, why: str) -> Assignment:
    fold, subset = np.full(n, HOLDOUT, np.int16), np.full(n, Subset.TRAIN, np.int8)
    return Assignment(fold, subset, method=NOT_SPLIT, notes=(why,), folds=(), leaks=0)


def subset_counts(assignment: Assignment) -> dict[str, int]:
    """The number of recordings in each subset or fold, by its name."""
    if assignment.folds:
        return {f"fold {fold}": int((assignment.fold == fold).sum()) for fold in assignment.folds}
    return {subset.word: int((assignment.subset == subset).sum()) for subset in Subset}


def split_digest(method: str, seed: int, placed: Iterable[Placed]) -> str:
    """The name of a split: follows from the method and from the place of every recording."""
    named = Digest([method, seed])
    for recording in placed:
        named.add([recording.identity, recording.label, recording.fold, recording.subset])
    return named.hex()


def items(placed: Iterable[Placed], split: str, copies: int, span_s: float) -> Iterator[PlannedItem]:
    """Every span once, and `copies` augmented times where the recording may be trained on.

    order_key follows from the split and the recording, not from the order of the rows.
    """
    for recording in placed:
        n_copies = 1 + (copies if recording.subset == Subset.TRAIN else 0)
        for span in range(recording.n_spans):
            rest_s = max((recording.duration_s or UNKNOWN_DURATION_S) - span * span_s, 0.0)
            work_s = WORK_S_A_FILE + WORK_S_A_SECOND * min(rest_s, span_s)
            for copy in range(n_copies):
                yield PlannedItem(
                    recording_id=recording.id, span=span, copy=copy, fold=recording.fold, subset=recording.subset,
                    group_name=recording.group, order_key=number_of([split, recording.order, span, copy]),
                    work_s=work_s,
                )  # fmt: skip
