"""What people ask of a run: counts that answer at once, jobs, metrics, quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database
from db.named_rows import rows_as
from db.schema.tables import BadRow, Dataset, Item, Job, JobFile, Metric, Recording, Run, RunCounter
from domain.reasons import ReasonCode
from domain.results import FileRole, JobResult, from_json
from domain.states import FINAL, OPEN, State

UNKNOWN = ReasonCode.UNKNOWN.value


@dataclass(frozen=True)
class JobStatus:
    """One job as it stands."""

    id: int
    kind: str
    model: str | None
    seed: int | None
    fold: int | None
    subset: int | None
    pipeline_id: int | None
    variant: str | None
    state: str
    device: str | None
    reason: str | None
    reason_code: str | None
    worker: str | None
    attempts: int
    started_at: float | None
    finished_at: float | None
    result: JobResult | None
    """None where the job was never done."""
    epoch: int
    """Epochs finished; 0 before the first one."""


@dataclass(frozen=True)
class RunLine:
    """One run in the list of runs."""

    id: int
    state: str
    dataset: str
    models: tuple[str, ...]
    created_at: float
    finished_at: float | None


@dataclass(frozen=True)
class NotUsed:
    """A recording, or a row of the dataset, that is not among the examples."""

    recording: str
    reason: str
    reason_code: str


def run_lines(database: Database) -> list[RunLine]:
    """All runs, newest first."""
    columns = (Run.id, Run.state, Dataset.root, Run.options, Run.created_at, Run.finished_at)
    query = sa.select(*columns).join(Dataset, Dataset.id == Run.dataset_id).order_by(Run.id.desc())
    with database.read() as connection:
        return [
            RunLine(run, state, root, tuple(options.get("models", ())), created, finished)
            for run, state, root, options, created, finished in connection.execute(query)
        ]


def item_counts(database: Database, run: int) -> dict[str, int]:
    """Items by state, from the counters: at once, however many there are."""
    query = (
        sa.select(RunCounter.state, sa.func.sum(RunCounter.n))
        .where(RunCounter.run_id == run)
        .group_by(RunCounter.state)
    )
    with database.read() as connection:
        counts = {state: int(n) for state, n in connection.execute(query)}
    return {str(state): counts.get(state, 0) for state in State}


def recording_counts(database: Database, run: int) -> dict[str, int]:
    """Recordings by state, bad rows among the quarantined.

    A recording with several items is open while one of them is, done when all are final and one is done.
    """
    with database.read() as connection:
        facts = connection.execute(sa.select(Run.facts).where(Run.id == run)).scalar_one()
        n_lost = _n_lost_rows(connection, run)
    counts = item_counts(database, run)
    if sum(counts.values()) != facts.get("recordings"):
        counts = _recordings_by_state(database, run)
    counts[State.QUARANTINED] += n_lost
    return {"total": sum(counts.values()), **counts}


def _n_lost_rows(connection: Connection, run: int) -> int:
    query = sa.select(sa.func.count()).select_from(BadRow).where(BadRow.run_id == run, ~BadRow.is_duplicate)
    return int(connection.execute(query).scalar_one())


def _recordings_by_state(database: Database, run: int) -> dict[str, int]:
    def has(state: State) -> sa.ColumnElement[int]:
        return sa.func.max(sa.case((Item.state == state, 1), else_=0))

    ranked = (*reversed(OPEN), State.DONE, State.FAILED, State.CANCELLED, State.QUARANTINED)
    flags = sa.select(*(has(state).label(state.value) for state in ranked)).where(Item.run_id == run)
    with_flags = flags.group_by(Item.recording_id).subquery()
    first = sa.case(*((with_flags.c[state.value] == 1, state.value) for state in ranked))
    with database.read() as connection:
        rows = connection.execute(sa.select(first, sa.func.count()).select_from(with_flags).group_by(first))
        counts = {state: int(n) for state, n in rows}
    return {str(state): counts.get(state, 0) for state in State}


def quarantined(database: Database, run: int) -> list[NotUsed]:
    """Recordings set aside with their reason, then the rows that name none, with their line."""
    rows = [NotUsed(row.uri, row.reason, row.reason_code) for row in bad_rows(database, run) if not row.is_duplicate]
    return [*_not_used(database, run, State.QUARANTINED), *rows]


def failed(database: Database, run: int) -> list[NotUsed]:
    """Recordings given up with their reason: the machine's fault, so `retry` may yet make them usable."""
    return _not_used(database, run, State.FAILED)


def _not_used(database: Database, run: int, state: State) -> list[NotUsed]:
    """One entry a recording: of several spans the first reason in alphabetical order."""
    columns = (Recording.uri, Item.reason, Item.reason_code)
    query = (
        sa.select(*columns)
        .join(Recording, Recording.id == Item.recording_id)
        .where(Item.run_id == run, Item.state == state)
        .group_by(*columns)
    )
    with database.read() as connection:
        rows = [NotUsed(uri, reason or "", code or UNKNOWN) for uri, reason, code in connection.execute(query)]
    rows.sort(key=lambda each: (each.recording, each.reason))  # databases sort text in different orders
    return list({each.recording: each for each in reversed(rows)}.values())[::-1]


@dataclass(frozen=True)
class BadRowLine:
    """A row of the dataset that names no usable recording."""

    line: int
    uri: str
    reason: str
    reason_code: str
    is_duplicate: bool


def bad_rows(database: Database, run: int) -> list[BadRowLine]:
    """The rows in the order of their lines."""
    code = sa.func.coalesce(BadRow.reason_code, UNKNOWN).label("reason_code")
    columns = (BadRow.line, BadRow.uri, BadRow.reason, code, BadRow.is_duplicate)
    with database.read() as connection:
        query = sa.select(*columns).where(BadRow.run_id == run).order_by(BadRow.line, BadRow.id)
        return rows_as(BadRowLine, connection.execute(query))


def jobs(database: Database, run: int) -> list[JobStatus]:
    """The run's jobs, in the order they were planned."""
    epoch = sa.select(sa.func.coalesce(sa.func.max(Metric.epoch), 0)).where(Metric.job_id == Job.id).scalar_subquery()
    columns = (
        Job.id, Job.kind, Job.model, Job.seed, Job.fold, Job.subset, Job.pipeline_id, Job.variant, Job.state,
        Job.device, Job.reason, Job.reason_code, Job.worker, Job.attempts, Job.started_at, Job.finished_at, Job.result,
        epoch.label("epoch"),
    )  # fmt: skip
    with database.read() as connection:
        rows = connection.execute(sa.select(*columns).where(Job.run_id == run).order_by(Job.id)).mappings().all()
    return [JobStatus(**{**row, "result": from_json(row["kind"], row["result"])}) for row in rows]


def metrics(database: Database, job: int) -> Iterator[tuple[int, str, float]]:
    """(epoch, name, value) of one job."""
    columns = (Metric.epoch, Metric.name, Metric.value)
    with database.read() as connection:
        query = sa.select(*columns).where(Metric.job_id == job).order_by(Metric.epoch, Metric.name)
        yield from [(row.epoch, row.name, row.value) for row in connection.execute(query)]


def n_artifacts(database: Database, run: int) -> int:
    """Files in the store that this run stands on: its strips, and what its jobs left."""
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
"""Files that are results by themselves; others stand beside them."""


@dataclass(frozen=True)
class AtWork:
    """What one worker holds."""

    worker: str
    what: str
    run: int
    since: float | None


def at_work(database: Database) -> list[AtWork]:
    """What is being done now, and by whom."""
    running_items = (
        sa.select(Item.worker, sa.func.count(), Item.run_id, sa.func.min(Item.started_at))
        .where(Item.state == State.RUNNING, Item.lease_until > 0)  # always true; the index of what is running is used
        .group_by(Item.worker, Item.run_id)
    )
    running_jobs = sa.select(Job.worker, Job.kind, Job.model, Job.variant, Job.run_id, Job.started_at).where(
        Job.state == State.RUNNING
    )
    with database.read() as connection:
        items = [
            AtWork(worker or "", f"preprocess, {n} items", run, since)
            for worker, n, run, since in connection.execute(running_items)
        ]
        return items + [
            AtWork(worker or "", " ".join(filter(None, (kind, model, variant))), run, since)
            for worker, kind, model, variant, run, since in connection.execute(running_jobs)
        ]


def is_final(state: str) -> bool:
    """Whether an item or job will not move any more."""
    return state in FINAL
