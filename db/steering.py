"""What a person does to a run: pause, resume, cancel, retry."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.moves import Worked, lock, move
from db.session import Database, now_s
from db.states import CLAIMABLE, RUN_FINAL, RunState, State
from db.tables import Item, Job, Run


def pause(database: Database, run: int) -> None:
    """Nothing new is sent or claimed; what is running may end."""
    with database.write() as connection:
        connection.execute(
            sa.update(Run).where(Run.id == run, Run.state == RunState.ACTIVE).values(state=RunState.PAUSED)
        )


def resume(database: Database, run: int) -> bool:
    """Lets a paused or cancelled run go on; False when it is over or was never planned to its end."""
    with database.write() as connection:
        state = connection.execute(sa.select(Run.state).where(Run.id == run)).scalar_one_or_none()
        if state not in (RunState.ACTIVE, RunState.PAUSED, RunState.CANCELLED):
            return False
        for table in (Item, Job):
            _wait_again(connection, table, run, State.CANCELLED, State.SENT)
        connection.execute(sa.update(Run).where(Run.id == run).values(state=RunState.ACTIVE, finished_at=None))
    return True


def cancel(database: Database, run: int) -> bool:
    """Calls off all that has not begun; what is running notices at its next heartbeat. False when the run is over."""
    with database.write() as connection:
        cancelled = connection.execute(
            sa.update(Run)
            .where(Run.id == run, Run.state.not_in(RUN_FINAL))
            .values(state=RunState.CANCELLED, finished_at=now_s())
        )
        if cancelled.rowcount != 1:
            return False
        for table in (Item, Job):
            rows = lock(connection, table, table.run_id == run, table.state.in_(CLAIMABLE))
            move(connection, table, rows, State.CANCELLED, reason="the run was cancelled", finished_at=now_s())
    return True


def retry(database: Database, run: int) -> int:
    """Everything quarantined, failed or cancelled is tried again; returns the number of items and jobs.

    When items come back, every job is done again: what is packed has changed.
    """
    ends = (State.QUARANTINED, State.FAILED, State.CANCELLED)
    with database.write() as connection:
        n_items = _wait_again(connection, Item, run, *ends)
        n_jobs = _wait_again(connection, Job, run, *ends)
        if n_items:
            n_jobs += _wait_again(connection, Job, run, State.DONE)
        if n_items or n_jobs:
            is_report = Job.kind == "render"
            _wait_again(connection, Job, run, State.DONE, only=is_report)
            connection.execute(sa.update(Run).where(Run.id == run).values(state=RunState.ACTIVE, finished_at=None))
    return n_items + n_jobs


def _wait_again(
    connection: Connection, table: Worked, run: int, *states: State, only: sa.ColumnElement[bool] | None = None
) -> int:
    rows = lock(connection, table, table.run_id == run, table.state.in_(states), *([only] if only is not None else []))
    counters = {"own_deaths": 0, "losses": 0, "faults": 0, "retry_at": None, "finished_at": None, "reason": None}
    move(connection, table, rows, State.WAITING, **counters)
    return len(rows)
