"""What a user does to a run: pause, resume, cancel, retry. Each returns False or 0 if the run's state forbids it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.transitions import WorkTable, move_all
from db.schema.tables import SHARD_REVISION, Item, Job, Need, Run
from domain import revisions
from domain.reasons import CANCELLED, columns_of
from domain.states import CLAIMABLE, RUN_FINAL, Kind, RunState, State

_RETRIED = (State.QUARANTINED, State.FAILED, State.CANCELLED)


def pause(database: Database, run: int) -> None:
    """Send and claim nothing new; running items and jobs may end."""
    with database.write() as connection:
        _change_run(connection, run, RunState.PAUSED, RunState.ACTIVE)


def resume(database: Database, run: int) -> bool:
    """Continue a paused or cancelled run; False if it has ended or its planning was not finished."""
    with database.write() as connection:
        if not _change_run(connection, run, RunState.ACTIVE, RunState.ACTIVE, RunState.PAUSED, RunState.CANCELLED):
            return False
        for table in (Item, Job):
            # Messages sent before the pause may be gone; a message that is not is harmless.
            _wait_again(connection, table, run, (State.CANCELLED, State.SENT))
    return True


def cancel(database: Database, run: int) -> bool:
    """Cancel everything that has not begun; running work notices at its next heartbeat.

    False if the run has ended or is still being planned.
    """
    with database.write() as connection:
        if not _change_run(connection, run, RunState.CANCELLED, RunState.ACTIVE, RunState.PAUSED):
            return False
        cancelled = {"state": State.CANCELLED, "finished_at": now_s(), **columns_of(CANCELLED)}
        for table in (Item, Job):
            move_all(connection, table, run, CLAIMABLE, cancelled)
    return True


def retry(database: Database, run: int) -> int:
    """Reset everything quarantined, failed or cancelled to waiting; return the number of items and jobs.

    What depends on it is done again too: after an item every job, after a job all that need it. 0 if there is nothing
    to retry, or if the run is being planned or is active.
    """
    with database.write() as connection:
        # Asked first: a run without anything to retry must not become active.
        has_any = (sa.exists().where(table.run_id == run, table.state.in_(_RETRIED)) for table in (Item, Job))
        if not connection.execute(sa.select(sa.or_(*has_any))).scalar_one():
            return 0
        if not _change_run(connection, run, RunState.ACTIVE, RunState.PAUSED, *RUN_FINAL):
            return 0
        n_items = _wait_again(connection, Item, run, _RETRIED)
        if n_items:
            return n_items + _wait_again(connection, Job, run, State)
        failed = set(connection.scalars(sa.select(Job.id).where(Job.run_id == run, Job.state.in_(_RETRIED))))
        return _wait_again(connection, Job, run, State, is_one_of(Job.id, _with_dependents(connection, failed)))


def repack_outdated(database: Database, run: int) -> int:
    """Reset pack jobs with shards of an older revision, and all jobs that need them; return the number of pack jobs.

    Nothing changes unless the run is active. Shards of an older revision may hold the labels of another run.
    """
    is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists()
    is_outdated = (Job.run_id == run, Job.kind == Kind.PACK, Job.state == State.DONE, SHARD_REVISION < revisions.SHARDS)
    query = sa.select(Job.id).where(*is_outdated, is_active)
    with database.read() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return 0
    with database.write() as connection:
        # Lock the run first: otherwise it could be closed or cancelled before its jobs wait again.
        connection.execute(sa.select(Run.id).where(Run.id == run).with_for_update())
        packs = set(connection.scalars(query))
        again = _with_dependents(connection, packs)
        _wait_again(connection, Job, run, (State.SENT, State.RUNNING, State.DONE), is_one_of(Job.id, again))
    return len(packs)


def _with_dependents(connection: Connection, jobs: set[int]) -> set[int]:
    again = set(jobs)
    while True:
        needing = set(connection.scalars(sa.select(Need.job_id).where(is_one_of(Need.needs_id, again)))) - again
        if not needing:
            return again
        again |= needing


def _change_run(connection: Connection, run: int, state: RunState, *only_from: RunState) -> bool:
    finished_at = now_s() if state in RUN_FINAL else None
    changed = sa.update(Run).where(Run.id == run, Run.state.in_(only_from)).values(state=state, finished_at=finished_at)
    return connection.execute(changed).rowcount == 1


def _wait_again(
    connection: Connection, table: WorkTable, run: int, states: Iterable[State], *where: sa.ColumnElement[bool]
) -> int:
    counters = {"crashes": 0, "lost_claims": 0, "faults": 0, "retry_at": None, "finished_at": None, **columns_of(None)}
    # The fence rises: a worker that still holds such a row writes nothing.
    values = {"state": State.WAITING, "fence": table.fence + 1, "lease_until": None, **counters}
    return move_all(connection, table, run, states, values, *where)
