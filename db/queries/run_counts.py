"""Counts for the report: classes, groups, work and time of one run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.engine import Database
from db.named_rows import rows_as
from db.queries.crossings import SIDE
from db.schema.tables import (
    EXPIRIES,
    IS_ITS_STRIP,
    Artifact,
    Item,
    Job,
    Recording,
    Run,
    RunCounter,
)
from domain.frozen_words import DEATHS, LOSSES, RETRIES
from domain.notes import NoteCode
from domain.states import State
from domain.subsets import Subset

_RATE_BINS = 40
_SHOWN_FROM_S = 120.0
_NOTES_A_PAGE = 1_000
"""In a shorter run the rate shows the size of the messages rather than the speed."""


@dataclass(frozen=True)
class PartCount:
    """One part of a run's split."""

    fold: int
    subset: int
    n_groups: int
    n_recordings: int
    n_chunks: int


@dataclass(frozen=True)
class WorkCount:
    """The work that preprocessing took."""

    n_items: int
    n_made: int
    attempts: int
    seconds: float


@dataclass(frozen=True)
class FaultCount:
    """Failures of a run's items and jobs since it was planned; `retry` does not reset them."""

    retries: int
    """Attempts that ended with a fault of the store, the disk or the database."""
    lost_claims: int
    """Claims lost because their worker was killed or stopped answering."""
    expiries: int
    """Lost claims that were detected only when the lease expired."""
    crashes: int
    """Processes that ended because of their work: a crash, the time limit or the memory limit."""
    quarantined: int
    failed: int

    def named(self) -> dict[str, int]:
        """The counts that are not zero, by a description for users."""
        counts = {
            "attempts ended by a fault of the machine": self.retries,
            "claims lost with their worker": self.lost_claims,
            "of these detected when the lease expired": self.expiries,
            "processes crashed": self.crashes,
            "items quarantined": self.quarantined,
            "items and jobs failed": self.failed,
        }
        return {what: n for what, n in counts.items() if n}


def faults(database: Database, run: int) -> FaultCount:
    """The run's failures, read from counters that are raised when each happens."""
    counters = (
        sa.select(RunCounter.state, sa.func.sum(RunCounter.n))
        .where(RunCounter.run_id == run)
        .group_by(RunCounter.state)
    )
    failed_jobs = sa.select(sa.func.count()).where(Job.run_id == run, Job.state == State.FAILED)
    with database.read() as connection:
        n = Counter({state: int(total) for state, total in connection.execute(counters)})
        n_failed = n[State.FAILED] + int(connection.execute(failed_jobs).scalar_one())
    return FaultCount(
        retries=n[RETRIES], lost_claims=n[LOSSES], expiries=n[EXPIRIES], crashes=n[DEATHS],
        quarantined=n[State.QUARANTINED], failed=n_failed,
    )  # fmt: skip


def recordings_by_label(database: Database, run: int) -> dict[str, int]:
    """The number of recordings of each class, including unusable ones."""
    query = (
        sa.select(Recording.label, sa.func.count(sa.distinct(Item.recording_id)))
        .join(Item, Item.recording_id == Recording.id)
        .where(Item.run_id == run)
        .group_by(Recording.label)
    )
    with database.read() as connection:
        return {label: int(n) for label, n in connection.execute(query)}


def part_counts(database: Database, run: int) -> list[PartCount]:
    """Groups, recordings and chunks (of the run's own pipeline) of every part, ordered by fold and subset."""
    query = (
        sa.select(
            Item.fold, Item.subset, sa.func.count(sa.distinct(Item.group_name)).label("n_groups"),
            sa.func.count(sa.distinct(Item.recording_id)).label("n_recordings"),
            sa.func.coalesce(sa.func.sum(Artifact.n_chunks), 0).label("n_chunks"),
        )
        .join(Recording, Recording.id == Item.recording_id)
        .outerjoin(Artifact, sa.and_(IS_ITS_STRIP, Item.copy == 0, Item.state == State.DONE))
        .where(Item.run_id == run, Item.pipeline_id == _own_pipeline(run))
        .group_by(Item.fold, Item.subset)
        .order_by(Item.fold, Item.subset)
    )  # fmt: skip
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
    return [PartCount(**{name: int(n) for name, n in row.items()}) for row in rows]


class NoteCount(NamedTuple):
    """How often a note was made on a run's recordings. n: chunks or spans, as the code counts."""

    code: NoteCode
    n: int
    n_recordings: int


def notes(database: Database, run: int) -> list[NoteCount]:
    """Count the notes on the strips of a run's own pipeline, without augmented copies. Reads one row a noted strip."""
    counts, recordings, last = Counter[str](), Counter[str](), dict[str, int]()
    for recording, text in _noted_strips(database, run):
        for code, n in json.loads(text).items():
            counts[code] += n
            recordings[code] += last.get(code) != recording
            last[code] = recording
    return [NoteCount(code, counts[code], recordings[code]) for code in NoteCode if code in counts]


def _noted_strips(database: Database, run: int) -> Iterator[tuple[int, str]]:
    """The recording and the notes of each noted strip, ordered by recording and read a page at a time."""
    after = (0, 0)
    while True:
        query = (
            sa.select(Item.recording_id, Item.id, Artifact.notes)
            .select_from(Artifact)
            .join(Recording, Recording.digest == Artifact.recording_digest)
            .join(Item, sa.and_(Item.recording_id == Recording.id, IS_ITS_STRIP))
            .where(
                Artifact.notes.is_not(None), Artifact.pipeline_id == _own_pipeline(run), Item.run_id == run,
                Item.copy == 0, Item.state == State.DONE, sa.tuple_(Item.recording_id, Item.id) > after,
            )
            .order_by(Item.recording_id, Item.id)
            .limit(_NOTES_A_PAGE)
        )  # fmt: skip
        with database.read() as connection:
            page = connection.execute(query).all()
        yield from ((recording, text or "{}") for recording, _, text in page)
        if len(page) < _NOTES_A_PAGE:
            return
        after = (page[-1][0], page[-1][1])


def _own_pipeline(run: int) -> sa.ScalarSelect[int]:
    """The first of a run's pipelines. The other ones' chunks are of the same recordings."""
    return sa.select(Run.pipeline_id).where(Run.id == run).scalar_subquery()


def work(database: Database, run: int) -> WorkCount:
    """The run's items, those preprocessed in this run, attempts and seconds."""
    query = sa.select(
        sa.func.count(),
        sa.func.sum(sa.case((Item.attempts > 0, 1), else_=0)),
        sa.func.sum(Item.attempts),
        sa.func.sum(Item.worked_s),
    ).where(Item.run_id == run)
    with database.read() as connection:
        n_items, n_made, attempts, seconds = connection.execute(query).one()
    return WorkCount(int(n_items), int(n_made or 0), int(attempts or 0), float(seconds or 0.0))


def rates(database: Database, run: int) -> list[tuple[float, float]]:
    """(seconds since the first item began, items finished per second) over the time that preprocessing took."""
    ends = sa.select(sa.func.min(Item.started_at), sa.func.max(Item.finished_at)).where(
        Item.run_id == run, Item.attempts > 0
    )
    with database.read() as connection:
        first, last = connection.execute(ends).one()
        if first is None or last is None or last - first < _SHOWN_FROM_S:
            return []
        width = (last - first) / _RATE_BINS
        at = sa.cast(sa.func.floor((Item.finished_at - first) / width), sa.Integer)
        query = sa.select(at, sa.func.count()).where(Item.run_id == run, Item.attempts > 0).group_by(at)
        counts = {int(bin_): int(n) for bin_, n in connection.execute(query)}
    return [((bin_ + 0.5) * width, counts.get(bin_, 0) / width) for bin_ in range(_RATE_BINS)]


class ShownStrip(NamedTuple):
    """The strip of a recording's first span, to be shown in a report."""

    recording: str
    key: str
    sha256: str
    size_bytes: int


def strips_of(database: Database, run: int, label: str, limit: int) -> list[ShownStrip]:
    """A few strips of a class, the first ones in the packed order."""
    of_class = (Recording.label == label, Item.pipeline_id == _own_pipeline(run))
    query = _first_strips(run, *of_class).order_by(Item.order_key).limit(limit)
    with database.read() as connection:
        return rows_as(ShownStrip, connection.execute(query))


def first_strips(database: Database, run: int, pipeline: int, recordings: Sequence[str]) -> list[ShownStrip]:
    """The existing strips of the first spans of these recordings."""
    query = _first_strips(run, Recording.uri.in_(recordings), Item.pipeline_id == pipeline)
    with database.read() as connection:
        return rows_as(ShownStrip, connection.execute(query))


def _first_strips(run: int, *conditions: sa.ColumnElement[bool]) -> sa.Select[str, str, str, int]:
    return (
        sa.select(Recording.uri.label("recording"), Artifact.key, Artifact.sha256, Artifact.size_bytes)
        .select_from(Item)
        .join(Recording, Recording.id == Item.recording_id)
        .join(Artifact, IS_ITS_STRIP)
        .where(Item.run_id == run, Item.state == State.DONE, Item.copy == 0, Item.span == 0, *conditions)
    )


def shared_places(database: Database, run: int) -> tuple[int, int]:
    """Number of evaluated recordings with a known place, and of those whose place also occurs in training."""
    # With folds each fold is evaluated by models trained on the others; without, the test subset is.
    part = sa.case((Item.fold < 0, sa.case((Item.subset == Subset.TEST, 1), else_=0)), else_=Item.fold)
    placed = (
        sa.select(Recording.id, Recording.latitude, Recording.longitude, part.label("part"), Item.fold)
        .join(Item, Item.recording_id == Recording.id)
        .where(Item.run_id == run, Recording.latitude.is_not(None))
        .distinct()
        .subquery()
    )
    here = (placed.c.latitude, placed.c.longitude)
    shared = sa.select(*here).group_by(*here).having(sa.func.count(sa.distinct(placed.c.part)) > 1).subquery()
    is_evaluated = sa.or_(placed.c.fold >= 0, placed.c.part == 1)
    is_there = sa.and_(shared.c.latitude == here[0], shared.c.longitude == here[1])
    query = (
        sa.select(sa.func.count(), sa.func.count(shared.c.latitude))
        .select_from(placed)
        .outerjoin(shared, is_there)
        .where(is_evaluated)
    )
    with database.read() as connection:
        n_placed, n_shared = connection.execute(query).one()
    return n_placed, n_shared


@dataclass(frozen=True)
class SplitOverlap:
    """Number of groups and recordings that are on both sides of a split, which is a leak.

    n_groups, n_recordings: in test and also in training or validation, or in several folds.
    n_groups_divided: in several subsets or folds; includes those that are only in training and in validation.
    """

    n_groups: int
    n_recordings: int
    n_groups_divided: int


def split_overlap(database: Database, run: int) -> SplitOverlap:
    """Count the groups, and the recordings by their bytes, that are on both sides of the split."""
    place = Item.fold * 10 + Item.subset  # one number per part; there are three subsets

    def count(what: sa.SQLColumnExpression[str], where: sa.ColumnElement[int] = SIDE) -> sa.Select[Any]:
        twice = (
            sa.select(what)
            .select_from(Item)
            .join(Recording, Recording.id == Item.recording_id)
            .where(Item.run_id == run, what != "")
            .group_by(what)
            .having(sa.func.count(sa.distinct(where)) > 1)
        )
        return sa.select(sa.func.count()).select_from(twice.subquery())

    with database.read() as connection:
        return SplitOverlap(
            n_groups=connection.execute(count(Item.group_name)).scalar_one(),
            n_recordings=connection.execute(count(Recording.digest)).scalar_one(),
            n_groups_divided=connection.execute(count(Item.group_name, place)).scalar_one(),
        )
