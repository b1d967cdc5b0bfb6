"""The files that the ledger expects in the store, and the marking of missing ones for regeneration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.transitions import lock, move
from db.schema.tables import Artifact, Item, Job, JobFile, Pipeline, Recording, Run
from db.store.keys import checkpointed_model, named_digest
from domain.reasons import Reason, ReasonCode, columns_of
from domain.states import RESUMABLE_KINDS, RUN_FINAL, RunKind, RunState, State

PAGE = 5000
_FILE_LOST = Reason(ReasonCode.FILE_LOST, "its file is gone from the store or damaged")
_STRIP_LOST = Reason(ReasonCode.FILE_LOST, "its strip is gone from the store or damaged")


@dataclass(frozen=True)
class LedgerStrip:
    """A strip that has a row in the ledger."""

    id: int
    key: str
    size_bytes: int
    sha256: str


def ledger_strips(database: Database) -> Iterator[LedgerStrip]:
    """All strips, read a page at a time."""
    last = 0  # paged by id, in short transactions: verifying the files of a page may take minutes
    while True:
        query = sa.select(Artifact.id, Artifact.key, Artifact.size_bytes, Artifact.sha256)
        with database.read() as connection:
            page = connection.execute(query.where(Artifact.id > last).order_by(Artifact.id).limit(PAGE)).all()
        yield from (LedgerStrip(**row._asdict()) for row in page)
        if len(page) < PAGE:
            return
        last = page[-1].id


@dataclass(frozen=True)
class LedgerFile:
    """A file that a finished job left.

    sha256: if the row has none, the beginning of it that some keys hold; else empty.
    """

    job: int
    run: int
    key: str
    sha256: str


def ledger_files(database: Database) -> Iterator[LedgerFile]:
    """All files of finished jobs in the order of jobs and keys, read a page at a time."""
    columns = (JobFile.job_id, Job.run_id, JobFile.key, JobFile.sha256)
    query = sa.select(*columns).join(Job, Job.id == JobFile.job_id).where(Job.state == State.DONE)
    query = query.order_by(JobFile.job_id, JobFile.key).limit(PAGE)
    last = (0, "")
    while True:
        with database.read() as connection:
            page = connection.execute(query.where(sa.tuple_(JobFile.job_id, JobFile.key) > last)).all()
        for row in page:
            yield LedgerFile(job=row.job_id, run=row.run_id, key=row.key, sha256=row.sha256 or named_digest(row.key))
        if len(page) < PAGE:
            return
        last = (page[-1].job_id, page[-1].key)


def record_digests(database: Database, digests: Mapping[LedgerFile, str]) -> None:
    """Record the SHA-256 of files whose rows have none because an older version wrote them; change no other row."""
    with database.write() as connection:
        for file, sha256 in digests.items():
            row = (JobFile.job_id == file.job, JobFile.key == file.key, JobFile.sha256.is_(None))
            connection.execute(sa.update(JobFile).where(*row).values(sha256=sha256))


def unknown_keys(database: Database, keys: Iterable[str]) -> Iterator[str]:
    """The keys that no row of this ledger names.

    Checkpoints of unfinished jobs are left out, however old: a run may be paused for weeks, and a retry of a failed or
    cancelled one continues from them. Files of jobs that wait to be done again are left out too: a job that would write
    the same file takes the existing one. So are networks that a prediction names, which may be resumed or retried.
    """
    unfinished = sa.select(Job.model).where(Job.kind.in_(RESUMABLE_KINDS), Job.state != State.DONE).distinct()
    predicted_with = sa.select(Run.pipeline_id).where(Run.kind == RunKind.PREDICT)
    with database.read() as connection:
        resumable = set(connection.scalars(unfinished))
        pipelines = connection.scalars(sa.select(Pipeline.parameters).where(Pipeline.id.in_(predicted_with))).all()
    networks = {network["key"] for pipeline in pipelines for network in pipeline["prediction"]["networks"]}
    pending = iter(keys)
    while page := list(islice(pending, PAGE)):
        with database.read() as connection:
            known = set(connection.scalars(sa.select(Artifact.key).where(Artifact.key.in_(page))))
            known |= set(connection.scalars(sa.select(JobFile.key).where(JobFile.key.in_(page))))
            known |= networks
        yield from (key for key in page if key not in known and checkpointed_model(key) not in resumable)


@dataclass(frozen=True)
class RunVersions:
    """The library versions that a run was planned with."""

    run: int
    versions: dict[str, str]


def run_versions(database: Database) -> list[RunVersions]:
    """The active and paused runs with the versions they were planned with."""
    query = sa.select(Run.id, Run.facts).where(Run.state.in_((RunState.ACTIVE, RunState.PAUSED))).order_by(Run.id)
    with database.read() as connection:
        return [RunVersions(run, facts.get("versions", {})) for run, facts in connection.execute(query)]


def clock_s(database: Database) -> float:
    """The time by the database's clock, in seconds since 1970."""
    with database.read() as connection:
        return float(connection.execute(sa.select(now_s())).scalar_one())


def fail_jobs(database: Database, jobs: Sequence[int]) -> None:
    """Mark finished jobs whose file is missing or damaged as failed, so that `retry` does them again."""
    with database.write() as connection:
        rows = lock(connection, Job, is_one_of(Job.id, jobs), Job.state == State.DONE, waits=True)
        move(connection, Job, rows, State.FAILED, **columns_of(_FILE_LOST))
        _fail_runs(connection, {row.run for row in rows})


def _fail_runs(connection: Connection, runs: set[int]) -> None:
    is_over = (is_one_of(Run.id, runs), Run.state.in_(RUN_FINAL))
    connection.execute(sa.update(Run).where(*is_over).values(state=RunState.FAILED))


def delete_strip_rows(database: Database, strips: Sequence[int]) -> None:
    """Delete the strips' rows and mark the items that are done because of them as failed.

    `retry` then makes the strips again and packs them again.
    """
    with database.write() as connection:
        _delete_strips(connection, strips, frozenset())


def make_strips_again(database: Database, keys: Sequence[str]) -> None:
    """Delete the rows of strips that are gone, and return their items in runs that are not over to waiting.

    Items of other runs are marked as failed, as by `delete_strip_rows`.
    """
    with database.write() as connection:
        is_open = Run.state.in_((RunState.ACTIVE, RunState.PAUSED))
        # Lock runs before rows: none may end or be cancelled while its items return to waiting.
        runs = frozenset(connection.scalars(sa.select(Run.id).where(is_open).order_by(Run.id).with_for_update()))
        for at in range(0, len(keys), PAGE):
            page = keys[at : at + PAGE]
            strips = connection.scalars(sa.select(Artifact.id).where(Artifact.key.in_(page)).order_by(Artifact.id))
            _delete_strips(connection, strips.all(), runs)


def _delete_strips(connection: Connection, strips: Sequence[int], open_runs: frozenset[int]) -> None:
    runs: set[int] = set()
    for strip in strips:
        # Delete before looking for items: a transaction that settles one of them locks this row, so either it
        # waits and then finds no strip, or this one waits and then finds the item done.
        removal = sa.delete(Artifact).where(Artifact.id == strip)
        names = (Artifact.recording_digest, Artifact.span, Artifact.copy, Artifact.pipeline_id)
        for digest, span, copy, pipeline in connection.execute(removal.returning(*names)).all():
            of_its_bytes = sa.select(Recording.id).where(Recording.digest == digest)
            same = (Item.span == span, Item.copy == copy, Item.pipeline_id == pipeline)
            is_done = (Item.recording_id.in_(of_its_bytes), *same, Item.state == State.DONE)
            rows = lock(connection, Item, *is_done, waits=True)
            again = [row for row in rows if row.run in open_runs]
            lost = [row for row in rows if row.run not in open_runs]
            move(connection, Item, again, State.WAITING, finished_at=None, retry_at=None, **columns_of(_STRIP_LOST))
            move(connection, Item, lost, State.FAILED, finished_at=now_s(), **columns_of(_STRIP_LOST))
            runs |= {row.run for row in lost}
    _fail_runs(connection, runs)


def runs_with_lost_files(database: Database) -> list[int]:
    """Runs with items or jobs that were marked as lost and have not been retried since."""
    lost = (
        sa.select(table.id)
        .where(table.run_id == Run.id, table.state == State.FAILED, table.reason_code == ReasonCode.FILE_LOST)
        .exists()
        for table in (Item, Job)
    )
    with database.read() as connection:
        return list(connection.scalars(sa.select(Run.id).where(sa.or_(*lost)).order_by(Run.id)))


@dataclass(frozen=True)
class StuckWork:
    """Work that makes no progress without the user."""

    n_expired: int
    planning_runs: tuple[int, ...]
    active_runs: tuple[int, ...]


def stuck_work(database: Database, planned_within_s: float) -> StuckWork:
    """Expired claims, runs whose planning never finished, and active runs.

    planned_within_s: a run whose planning began less than this many seconds ago is omitted; it may still finish.
    """
    with database.read() as connection:
        expired = sum(
            connection.execute(
                sa.select(sa.func.count())
                .select_from(table)
                .where(table.state == State.RUNNING, table.lease_until < now_s())
            ).scalar_one()
            for table in (Item, Job)
        )
        is_dead_plan = (Run.state == RunState.PLANNING, Run.created_at < now_s() - planned_within_s)
        planning, active = (
            tuple(connection.scalars(sa.select(Run.id).where(*those).order_by(Run.id)))
            for those in (is_dead_plan, (Run.state == RunState.ACTIVE,))
        )
    return StuckWork(int(expired), planning, active)
