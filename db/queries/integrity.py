"""What the ledger says is in the store, for those who compare; and the way back for what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.transitions import lock, move
from db.schema.tables import Artifact, Item, Job, JobFile, Recording, Run
from db.store.keys import checkpointed_model, named_digest
from domain.reasons import Reason, ReasonCode, columns_of
from domain.states import RUN_FINAL, Kind, RunState, State

PAGE = 5000
_FILE_LOST = Reason(ReasonCode.FILE_LOST, "its file is gone from the store or damaged")
_STRIP_LOST = Reason(ReasonCode.FILE_LOST, "its strip is gone from the store or damaged")


@dataclass(frozen=True)
class KeptStrip:
    """A strip the ledger believes in."""

    id: int
    key: str
    size_bytes: int
    sha256: str


def kept_strips(database: Database) -> Iterator[KeptStrip]:
    """Every strip, a page at a time."""
    last = 0
    while True:
        query = sa.select(Artifact.id, Artifact.key, Artifact.size_bytes, Artifact.sha256)
        with database.read() as connection:
            page = connection.execute(query.where(Artifact.id > last).order_by(Artifact.id).limit(PAGE)).all()
        yield from (KeptStrip(**row._asdict()) for row in page)
        if len(page) < PAGE:
            return
        last = page[-1].id


@dataclass(frozen=True)
class KeptFile:
    """A file that a finished job left.

    sha256: only its beginning where the ledger does not hold it and the key does; empty where neither does.
    """

    job: int
    run: int
    key: str
    sha256: str


def kept_files(database: Database) -> Iterator[KeptFile]:
    """Every file of every finished job, a page at a time, in the order of jobs and keys."""
    columns = (JobFile.job_id, Job.run_id, JobFile.key, JobFile.sha256)
    query = sa.select(*columns).join(Job, Job.id == JobFile.job_id).where(Job.state == State.DONE)
    query = query.order_by(JobFile.job_id, JobFile.key).limit(PAGE)
    last = (0, "")
    while True:
        with database.read() as connection:
            page = connection.execute(query.where(sa.tuple_(JobFile.job_id, JobFile.key) > last)).all()
        for row in page:
            yield KeptFile(job=row.job_id, run=row.run_id, key=row.key, sha256=row.sha256 or named_digest(row.key))
        if len(page) < PAGE:
            return
        last = (page[-1].job_id, page[-1].key)


def record_digests(database: Database, digests: Mapping[KeptFile, str]) -> None:
    """Records the SHA-256 of files whose rows have none, as those of older versions; other rows keep theirs."""
    with database.write() as connection:
        for file, sha256 in digests.items():
            row = (JobFile.job_id == file.job, JobFile.key == file.key, JobFile.sha256.is_(None))
            connection.execute(sa.update(JobFile).where(*row).values(sha256=sha256))


def unknown_keys(database: Database, keys: Iterable[str]) -> Iterator[str]:
    """Those of the keys that no row of this ledger names.

    Checkpoints of models that are still to be trained are left out, however old: a run may be paused for weeks,
    and one that failed or was called off goes on from them too. So is what a job left that is to be done again: where
    that would come out the same, it is taken as it is.
    """
    untrained = _untrained_models(database)
    pending = iter(keys)
    while page := list(islice(pending, PAGE)):
        with database.read() as connection:
            known = set(connection.scalars(sa.select(Artifact.key).where(Artifact.key.in_(page))))
            known |= set(connection.scalars(sa.select(JobFile.key).where(JobFile.key.in_(page))))
        yield from (key for key in page if key not in known and checkpointed_model(key) not in untrained)


def _untrained_models(database: Database) -> set[str]:
    """Names of the models of which a training is not done."""
    query = sa.select(Job.model).where(Job.kind == Kind.TRAIN, Job.state != State.DONE).distinct()
    with database.read() as connection:
        return {model for model in connection.scalars(query) if model}


@dataclass(frozen=True)
class PlannedWith:
    """The versions a run that is not over was planned with."""

    run: int
    versions: dict[str, str]


def planned_with(database: Database) -> list[PlannedWith]:
    """Runs that are active or paused, and the versions of that time."""
    query = sa.select(Run.id, Run.facts).where(Run.state.in_((RunState.ACTIVE, RunState.PAUSED))).order_by(Run.id)
    with database.read() as connection:
        return [PlannedWith(run, facts.get("versions", {})) for run, facts in connection.execute(query)]


def clock_s(database: Database) -> float:
    """Seconds since 1970, by the database's clock."""
    with database.read() as connection:
        return float(connection.execute(sa.select(now_s())).scalar_one())


def fail_jobs(database: Database, jobs: Sequence[int]) -> None:
    """Marks finished jobs whose file is gone as failed, so that `retry` does them again."""
    with database.write() as connection:
        rows = lock(connection, Job, is_one_of(Job.id, jobs), Job.state == State.DONE, waits=True)
        move(connection, Job, rows, State.FAILED, **columns_of(_FILE_LOST))
        _fail_runs(connection, {row.run for row in rows})


def _fail_runs(connection: Connection, runs: set[int]) -> None:
    is_over = (is_one_of(Run.id, runs), Run.state.in_(RUN_FINAL))
    connection.execute(sa.update(Run).where(*is_over).values(state=RunState.FAILED))


def forget_strips(database: Database, strips: Sequence[int]) -> None:
    """Takes strips out of the ledger and marks the items that count on them as failed.

    `retry` has them made again, and packed again.
    """
    with database.write() as connection:
        runs: set[int] = set()
        for strip in strips:
            # Before its items are looked for: who settles one of them waits for this, or is waited for.
            taken = sa.delete(Artifact).where(Artifact.id == strip)
            names = (Artifact.recording_digest, Artifact.span, Artifact.copy, Artifact.pipeline_id)
            for digest, span, copy, pipeline in connection.execute(taken.returning(*names)).all():
                of_its_bytes = sa.select(Recording.id).where(Recording.digest == digest)
                same = (Item.span == span, Item.copy == copy, Item.pipeline_id == pipeline)
                is_done = (Item.recording_id.in_(of_its_bytes), *same, Item.state == State.DONE)
                rows = lock(connection, Item, *is_done, waits=True)
                move(connection, Item, rows, State.FAILED, finished_at=now_s(), **columns_of(_STRIP_LOST))
                runs |= {row.run for row in rows}
        _fail_runs(connection, runs)


def lacking(database: Database) -> list[int]:
    """Runs of which something was marked as lost and has not been made again."""
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
    """Work that somebody should look at."""

    n_expired: int
    planning_runs: tuple[int, ...]
    active_runs: tuple[int, ...]


def stuck(database: Database, planned_within_s: float) -> StuckWork:
    """Claims whose lease ran out, plans that were never finished, and runs that somebody should be working on.

    planned_within_s: a plan that began less than so many seconds ago may yet be finished.
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
