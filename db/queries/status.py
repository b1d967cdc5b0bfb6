"""What users ask about a run: counts from the counters, jobs, metrics, bad rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database
from db.named_rows import rows_as
from db.schema.tables import JOB_FACTS, BadRow, Dataset, Item, Job, JobFile, Metric, Run, RunCounter
from domain.reasons import ReasonCode
from domain.results import FileRole, JobResult, from_json
from domain.states import ITEM_TASKS, OPEN, USED_IN_PART, RunKind, State
from domain.work import JobFacts

UNKNOWN = ReasonCode.UNKNOWN.value
_FIRST_WAITING = 500
_PAGE = 2000


@dataclass(frozen=True)
class JobStatus(JobFacts):
    """A job and its current state."""

    state: str
    device: str | None
    reason: str | None
    reason_code: str | None
    worker: str | None
    attempts: int
    started_at: float | None
    finished_at: float | None
    result: JobResult | None
    """None if the job was never done."""
    epoch: int
    """Finished epochs; 0 before the first one ends."""


@dataclass(frozen=True)
class RunLine:
    """One run in the list of runs."""

    id: int
    state: str
    dataset: str
    models: tuple[str, ...]
    created_at: float
    finished_at: float | None


def run_lines(database: Database) -> list[RunLine]:
    """All runs, newest first."""
    columns = (Run.id, Run.state, Dataset.root, Run.options, Run.created_at, Run.finished_at)
    query = sa.select(*columns).join(Dataset, Dataset.id == Run.dataset_id).order_by(Run.id.desc())
    with database.read() as connection:
        return [
            RunLine(
                id=row.id, state=row.state, dataset=row.root, models=tuple(row.options.get("models", ())),
                created_at=row.created_at, finished_at=row.finished_at,
            )
            for row in connection.execute(query)
        ]  # fmt: skip


def item_counts(database: Database, run: int) -> dict[str, int]:
    """Items by state, from the counters: fast for any number of items."""
    query = (
        sa.select(RunCounter.state, sa.func.sum(RunCounter.n))
        .where(RunCounter.run_id == run)
        .group_by(RunCounter.state)
    )
    with database.read() as connection:
        counts = {state: int(n) for state, n in connection.execute(query)}
    return {str(state): counts.get(state, 0) for state in State}


def retried_item_reason(database: Database, run: int) -> str | None:
    """Why an item of the run waits for another attempt; None if none does, among the first that wait.

    Items are sent in the order of their ids, so those that were tried are the first. The limit keeps the query fast.
    """
    waiting = (
        sa.select(Item.id, Item.reason, Item.retry_at)
        .where(Item.run_id == run, Item.state == State.WAITING)
        .order_by(Item.id)
        .limit(_FIRST_WAITING)
        .subquery()
    )
    with database.read() as connection:
        query = sa.select(waiting.c.reason).where(waiting.c.retry_at.is_not(None)).order_by(waiting.c.id).limit(1)
        return connection.execute(query).scalar()


def recording_counts(database: Database, run: int) -> dict[str, int]:
    """Recordings by state, `total` and USED_IN_PART; bad rows count as quarantined.

    A recording with several items is open while one of them is. It is done if all its items are done, and used in part
    if some are done and others quarantined or failed.
    """
    with database.read() as connection:
        facts = connection.execute(sa.select(Run.facts).where(Run.id == run)).scalar_one()
        n_unusable = _n_unusable_rows(connection, run)
    counts, n_recordings = {**item_counts(database, run), USED_IN_PART: 0}, facts.get("recordings")
    # With one item per recording the counters of items are those of recordings; only else are rows counted.
    if sum(counts.values()) != n_recordings:
        counts = _recordings_by_state(database, run, n_recordings, n_done=counts[State.DONE])
    counts[State.QUARANTINED] += n_unusable
    return {"total": sum(counts.values()), **counts}


def is_any_unused(database: Database, run: int) -> bool:
    """Whether a recording or a part of one is quarantined, or a row names no usable recording."""
    if item_counts(database, run)[State.QUARANTINED]:
        return True
    with database.read() as connection:
        return _n_unusable_rows(connection, run) > 0


def _n_unusable_rows(connection: Connection, run: int) -> int:
    is_left_out = sa.func.coalesce(BadRow.reason_code, UNKNOWN) == ReasonCode.LEFT_OUT.value
    query = sa.select(sa.func.count()).select_from(BadRow)
    query = query.where(BadRow.run_id == run, ~BadRow.is_duplicate, ~is_left_out)
    return int(connection.execute(query).scalar_one())


def _recordings_by_state(database: Database, run: int, n_recordings: int | None, *, n_done: int) -> dict[str, int]:
    flags = sa.select(*state_flags()).where(Item.run_id == run)
    # When most items are done, only recordings with another item are counted: their number is small at the end.
    is_mostly_done = n_recordings is not None and 2 * n_done > n_recordings
    if is_mostly_done:
        others = sa.select(Item.recording_id).where(Item.run_id == run, Item.state.in_(_NOT_DONE))
        flags = flags.where(Item.recording_id.in_(others))
    with_flags = flags.group_by(Item.recording_id).subquery().c
    first = recording_state(with_flags).label("first")
    with database.read() as connection:
        counts = {
            str(state): int(n) for state, n in connection.execute(sa.select(first, sa.func.count()).group_by(first))
        }
    if is_mostly_done:
        counts[State.DONE] = counts.get(State.DONE, 0) + int(n_recordings or 0) - sum(counts.values())
    return {state: counts.get(state, 0) for state in (*map(str, State), USED_IN_PART)}


_RANKED = (*reversed(OPEN), State.DONE, State.FAILED, State.CANCELLED, State.QUARANTINED)
"""The first of these states that an item of a recording has is the recording's."""


def state_flags() -> list[sa.Label[int]]:
    """Columns of a query that groups items by recording: for each state, 1 if one of them has it."""
    return [sa.func.max(sa.case((Item.state == state, 1), else_=0)).label(state.value) for state in _RANKED]


def recording_state(flags: sa.ColumnCollection[str, Any]) -> sa.Case[str]:
    """The state of a recording, as `recording_counts` says. flags: columns of a subquery with `state_flags`."""
    is_lost_in_part = sa.or_(flags[State.QUARANTINED] == 1, flags[State.FAILED] == 1)
    whens: list[tuple[sa.ColumnElement[bool], str]] = [(flags[state.value] == 1, state.value) for state in _RANKED]
    whens.insert(len(OPEN), (sa.and_(flags[State.DONE] == 1, is_lost_in_part), USED_IN_PART))
    return sa.case(*whens)


_NOT_DONE = tuple(state for state in State if state != State.DONE)


@dataclass(frozen=True)
class BadRowLine:
    """A row of the dataset that names no usable recording."""

    line: int
    uri: str
    reason: str
    reason_code: str
    is_duplicate: bool

    @property
    def is_unusable(self) -> bool:
        """Whether the row counts as quarantined: an earlier row does not name its file, and no user left it out."""
        return not self.is_duplicate and self.reason_code != ReasonCode.LEFT_OUT


def bad_rows(database: Database, run: int) -> list[BadRowLine]:
    """The run's bad rows in the order of their lines."""
    code = sa.func.coalesce(BadRow.reason_code, UNKNOWN).label("reason_code")
    columns = (BadRow.line, BadRow.uri, BadRow.reason, code, BadRow.is_duplicate)
    with database.read() as connection:
        query = sa.select(*columns).where(BadRow.run_id == run).order_by(BadRow.line, BadRow.id)
        return rows_as(BadRowLine, connection.execute(query))


def unusable_rows(database: Database, run: int) -> Iterator[BadRowLine]:
    """Those of the run's bad rows that count as quarantined, in the order of their ids, read a page at a time."""
    code = sa.func.coalesce(BadRow.reason_code, UNKNOWN).label("reason_code")
    columns = (BadRow.line, BadRow.uri, BadRow.reason, code, BadRow.is_duplicate)
    last = 0
    while True:
        query = sa.select(BadRow.id, *columns).where(BadRow.run_id == run, BadRow.id > last).order_by(BadRow.id)
        with database.read() as connection:
            page = connection.execute(query.limit(_PAGE)).all()
        found = (
            BadRowLine(
                line=row.line, uri=row.uri, reason=row.reason, reason_code=row.reason_code,
                is_duplicate=row.is_duplicate,
            )
            for row in page
        )  # fmt: skip
        yield from (row for row in found if row.is_unusable)
        if len(page) < _PAGE:
            return
        last = page[-1].id


def jobs(database: Database, run: int) -> list[JobStatus]:
    """The run's jobs, in the order they were planned."""
    epoch = sa.select(sa.func.coalesce(sa.func.max(Metric.epoch), 0)).where(Metric.job_id == Job.id).scalar_subquery()
    columns = (
        *JOB_FACTS, Job.state, Job.device, Job.reason, Job.reason_code, Job.worker, Job.attempts, Job.started_at,
        Job.finished_at, Job.result, epoch.label("epoch"),
    )  # fmt: skip
    with database.read() as connection:
        rows = connection.execute(sa.select(*columns).where(Job.run_id == run).order_by(Job.id)).mappings().all()
    return [JobStatus(**{**row, "result": from_json(row["kind"], row["result"])}) for row in rows]


def metrics(database: Database, job: int) -> Iterator[tuple[int, str, float]]:
    """(epoch, name, value) of every figure of one job."""
    columns = (Metric.epoch, Metric.name, Metric.value)
    with database.read() as connection:
        query = sa.select(*columns).where(Metric.job_id == job).order_by(Metric.epoch, Metric.name)
        yield from [(row.epoch, row.name, row.value) for row in connection.execute(query)]


def n_artifacts(database: Database, run: int) -> int:
    """Number of files in the store that this run uses: its strips and the files of its jobs."""
    with database.read() as connection:
        n_strips = connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(RunCounter.n), 0)).where(
                RunCounter.run_id == run, RunCounter.state == State.DONE
            )
        ).scalar_one()
        of_run = (Job.run_id == run, Job.state == State.DONE, JobFile.role.in_(_COUNTED))
        files = sa.select(sa.func.count()).select_from(JobFile).join(Job, Job.id == JobFile.job_id).where(*of_run)
        return int(n_strips) + int(connection.execute(files).scalar_one())


_COUNTED = (FileRole.SHARD, FileRole.MODEL, FileRole.EVALUATION, FileRole.REPORT)
"""Roles of files that count as results; files of other roles accompany one of these."""


@dataclass(frozen=True)
class RunningWork:
    """Work of one run that one worker is doing."""

    worker: str
    what: str
    run: int
    since: float | None


def running_work(database: Database) -> list[RunningWork]:
    """The running work of every worker."""
    running_items = (
        sa.select(Item.worker, sa.func.count(), Item.run_id, Run.kind, sa.func.min(Item.started_at))
        .join(Run, Run.id == Item.run_id)
        .where(Item.state == State.RUNNING, Item.lease_until > 0)  # always true; for SQLite's partial index
        .group_by(Item.worker, Item.run_id, Run.kind)
    )
    running_jobs = sa.select(Job.worker, Job.kind, Job.model, Job.variant, Job.run_id, Job.started_at).where(
        Job.state == State.RUNNING
    )
    with database.read() as connection:
        items = [
            RunningWork(worker or "", f"{ITEM_TASKS[RunKind(kind)]}, {n} items", run, since)
            for worker, n, run, kind, since in connection.execute(running_items)
        ]
        return items + [
            RunningWork(worker or "", " ".join(filter(None, (kind, model, variant))), run, since)
            for worker, kind, model, variant, run, since in connection.execute(running_jobs)
        ]
