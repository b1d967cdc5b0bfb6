"""What a report counts: classes, groups, work and time of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from db.engine import Database
from db.schema.tables import (
    DEATHS,
    EXPIRIES,
    IS_ITS_STRIP,
    LOSSES,
    RETRIES,
    Artifact,
    Item,
    Job,
    Recording,
    Run,
    RunCounter,
)
from domain.states import State
from domain.subsets import Subset

_RATE_BINS = 40
_SHOWN_FROM_S = 120.0
"""A shorter time shows the size of messages rather than a pace."""


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
    """What preprocessing took."""

    n_items: int
    n_made: int
    attempts: int
    seconds: float


@dataclass(frozen=True)
class FaultCount:
    """What a run met and survived, over its items and jobs, since it was planned: trying again forgets nothing."""

    retries: int
    """Attempts ended by the machine's fault: store, disk or database."""
    losses: int
    """Claims lost with their worker: it was killed, or stopped answering."""
    expiries: int
    """Those of the losses that were noticed only when the lease ran out."""
    deaths: int
    """Processes ended by what they worked on: a crash, the time or the memory limit."""
    quarantined: int
    failed: int

    def named(self) -> dict[str, int]:
        """For people; what did not happen is left out."""
        told = {
            "attempts ended by a fault of the machine": self.retries,
            "claims lost with their worker": self.losses,
            "of these noticed when their lease ran out": self.expiries,
            "processes ended by a recording": self.deaths,
            "items quarantined": self.quarantined,
            "items and jobs given up": self.failed,
        }
        return {what: n for what, n in told.items() if n}


def faults(database: Database, run: int) -> FaultCount:
    """Faults met by the run's items and jobs, from the counters, which take each when it happens."""
    counters = (
        sa.select(RunCounter.state, sa.func.sum(RunCounter.n))
        .where(RunCounter.run_id == run)
        .group_by(RunCounter.state)
    )
    failed_jobs = sa.select(sa.func.count()).where(Job.run_id == run, Job.state == State.FAILED)
    with database.read() as connection:
        n = Counter({state: int(total) for state, total in connection.execute(counters)})
        n_failed = n[State.FAILED] + int(connection.execute(failed_jobs).scalar_one())
    return FaultCount(n[RETRIES], n[LOSSES], n[EXPIRIES], n[DEATHS], n[State.QUARANTINED], n_failed)


def recordings_by_label(database: Database, run: int) -> dict[str, int]:
    """Recordings of each class, usable or not."""
    query = (
        sa.select(Recording.label, sa.func.count(sa.distinct(Item.recording_id)))
        .join(Item, Item.recording_id == Recording.id)
        .where(Item.run_id == run)
        .group_by(Recording.label)
    )
    with database.read() as connection:
        return {label: int(n) for label, n in connection.execute(query)}


def part_counts(database: Database, run: int) -> list[PartCount]:
    """Groups, recordings and chunks (of the run's own pipeline) of every part, in the order of folds and subsets."""
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


def _own_pipeline(run: int) -> sa.ScalarSelect[int]:
    """The first of a run's pipelines: another one's chunks are the same sounds again."""
    return sa.select(Run.pipeline_id).where(Run.id == run).scalar_subquery()


def work(database: Database, run: int) -> WorkCount:
    """Items, those made in this run, attempts and seconds."""
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
    """(seconds since the first one began, recordings a second) over the time preprocessing took."""
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
    """The strip of a recording's first span, as a page shows it."""

    recording: str
    key: str
    sha256: str
    size_bytes: int


def strips_of(database: Database, run: int, label: str, limit: int) -> list[ShownStrip]:
    """A few strips of a class, the first in the drawn order."""
    of_class = (Recording.label == label, Item.pipeline_id == _own_pipeline(run))
    query = _first_strips(run, *of_class).order_by(Item.order_key).limit(limit)
    with database.read() as connection:
        return [ShownStrip(*row) for row in connection.execute(query)]


def first_strips(database: Database, run: int, pipeline: int, recordings: Sequence[str]) -> list[ShownStrip]:
    """The strips of the first spans of these recordings, as far as there are any."""
    query = _first_strips(run, Recording.uri.in_(recordings), Item.pipeline_id == pipeline)
    with database.read() as connection:
        return [ShownStrip(*row) for row in connection.execute(query)]


def _first_strips(run: int, *conditions: sa.ColumnElement[bool]) -> sa.Select[str, str, str, int]:
    return (
        sa.select(Recording.uri, Artifact.key, Artifact.sha256, Artifact.size_bytes)
        .select_from(Item)
        .join(Recording, Recording.id == Item.recording_id)
        .join(Artifact, IS_ITS_STRIP)
        .where(Item.run_id == run, Item.state == State.DONE, Item.copy == 0, Item.span == 0, *conditions)
    )


def familiar_places(database: Database, run: int) -> tuple[int, int]:
    """Recordings judged on whose place is known, and those of them at a place that is learnt from too."""
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
    is_judged = sa.or_(placed.c.fold >= 0, placed.c.part == 1)
    is_there = sa.and_(shared.c.latitude == here[0], shared.c.longitude == here[1])
    query = (
        sa.select(sa.func.count(), sa.func.count(shared.c.latitude))
        .select_from(placed)
        .outerjoin(shared, is_there)
        .where(is_judged)
    )
    with database.read() as connection:
        n_placed, n_familiar = connection.execute(query).one()
    return n_placed, n_familiar


@dataclass(frozen=True)
class Torn:
    """What stands in two places of a split, where nothing should."""

    n_groups: int
    n_recordings: int


def torn(database: Database, run: int) -> Torn:
    """Groups, and recordings by their bytes, that stand in two subsets or in two folds."""
    place = Item.fold * 10 + Item.subset

    def count(what: sa.SQLColumnExpression[str]) -> sa.Select[Any]:
        twice = (
            sa.select(what)
            .select_from(Item)
            .join(Recording, Recording.id == Item.recording_id)
            .where(Item.run_id == run, what != "")
            .group_by(what)
            .having(sa.func.count(sa.distinct(place)) > 1)
        )
        return sa.select(sa.func.count()).select_from(twice.subquery())

    with database.read() as connection:
        groups = connection.execute(count(Item.group_name)).scalar_one()
        return Torn(groups, connection.execute(count(Recording.digest)).scalar_one())
