"""What a person does to a run: pause, resume, cancel, retry. Each says False or 0 where the run's state forbids it."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.transitions import Worked, move_all
from db.schema.tables import SHARD_REVISION, Item, Job, Need, Run
from domain import revisions
from domain.reasons import CANCELLED, columns_of
from domain.states import CLAIMABLE, RUN_FINAL, Kind, RunState, State

_RETRIED = (State.QUARANTINED, State.FAILED, State.CANCELLED)


def pause(database: Database, run: int) -> None:
    """Nothing new is sent or claimed; what is running may end."""
    with database.write() as connection:
        _change_run(connection, run, RunState.PAUSED, RunState.ACTIVE)


def resume(database: Database, run: int) -> bool:
    """Lets a paused or cancelled run go on; False when it is over or was never planned to its end."""
    with database.write() as connection:
        if not _change_run(connection, run, RunState.ACTIVE, RunState.ACTIVE, RunState.PAUSED, RunState.CANCELLED):
            return False
        for table in (Item, Job):
            _wait_again(connection, table, run, (State.CANCELLED, State.SENT))
    return True


def cancel(database: Database, run: int) -> bool:
    """Calls off all that has not begun; what is running notices at its next heartbeat.

    False when the run is over, or still being planned.
    """
    with database.write() as connection:
        if not _change_run(connection, run, RunState.CANCELLED, RunState.ACTIVE, RunState.PAUSED):
            return False
        called_off = {"state": State.CANCELLED, "finished_at": now_s(), **columns_of(CANCELLED)}
        for table in (Item, Job):
            move_all(connection, table, run, CLAIMABLE, called_off)
    return True


def retry(database: Database, run: int) -> int:
    """Everything quarantined, failed or cancelled is tried again; returns the number of items and jobs.

    What stands on something that is done again is done again too: with an item every job, with a job all that need
    it. 0 when there is nothing to try again, or when the run is being planned or worked on.
    """
    with database.write() as connection:
        if not _has_ended_badly(connection, run) or not _change_run(
            connection, run, RunState.ACTIVE, RunState.PAUSED, *RUN_FINAL
        ):
            return 0
        n_items = _wait_again(connection, Item, run, _RETRIED)
        if n_items:
            return n_items + _wait_again(connection, Job, run, State)
        failed = set(connection.scalars(sa.select(Job.id).where(Job.run_id == run, Job.state.in_(_RETRIED))))
        return _wait_again(connection, Job, run, State, is_one_of(Job.id, _with_all_that_need_them(connection, failed)))


def pack_anew(database: Database, run: int) -> int:
    """Makes parts that an older revision packed wait again, with all jobs that need them; returns how many parts.

    Nothing changes in a run that is not active. An older shard may hold the labels of another run.
    """
    is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists()
    is_outdated = (Job.run_id == run, Job.kind == Kind.PACK, Job.state == State.DONE, SHARD_REVISION < revisions.SHARDS)
    query = sa.select(Job.id).where(*is_outdated, is_active)
    with database.read() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return 0
    with database.write() as connection:
        # The run first: it must not be closed or cancelled before its jobs wait again.
        connection.execute(sa.select(Run.id).where(Run.id == run).with_for_update())
        packs = set(connection.scalars(query))
        again = _with_all_that_need_them(connection, packs)
        _wait_again(connection, Job, run, (State.SENT, State.RUNNING, State.DONE), is_one_of(Job.id, again))
    return len(packs)


def _has_ended_badly(connection: Connection, run: int) -> bool:
    """Whether anything of the run would be tried again."""
    of_run = (sa.exists().where(table.run_id == run, table.state.in_(_RETRIED)) for table in (Item, Job))
    return bool(connection.execute(sa.select(sa.or_(*of_run))).scalar_one())


def _with_all_that_need_them(connection: Connection, jobs: set[int]) -> set[int]:
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
    connection: Connection, table: Worked, run: int, states: Iterable[State], *where: sa.ColumnElement[bool]
) -> int:
    counters = {"crashes": 0, "lost_claims": 0, "faults": 0, "retry_at": None, "finished_at": None, **columns_of(None)}
    # A worker that still holds one finds another fence and writes nothing.
    values = {"state": State.WAITING, "fence": table.fence + 1, "lease_until": None, **counters}
    return move_all(connection, table, run, states, values, *where)
