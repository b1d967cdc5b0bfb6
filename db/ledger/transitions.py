"""State transitions, with the counters changed in the same transaction.

Every function here is called inside a write transaction that has locked the rows: by SQLite's single write lock, or by
PostgreSQL's FOR UPDATE.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.bulk import update_rows
from db.id_lists import is_one_of
from db.named_rows import rows_as
from db.schema.tables import Item, Job, Run, RunCounter, Table
from domain.retry import Counters
from domain.states import RunState, State

COUNTER_SLOTS = 8
WorkTable = type[Item] | type[Job]


class LockedRow(NamedTuple):
    """A row that this transaction has locked."""

    id: int
    run: int
    state: str
    fence: int
    crashes: int
    lost_claims: int
    faults: int

    @property
    def counters(self) -> Counters:
        """Its crashes, lost claims and faults so far."""
        return Counters(self.crashes, self.lost_claims, self.faults)


def insert(connection: Connection, table: type[Table]) -> Any:
    """An INSERT of the connection's dialect, which supports ON CONFLICT."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def lock(
    connection: Connection,
    table: WorkTable,
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
    waits: bool = False,
) -> list[LockedRow]:
    """Lock and return the rows that satisfy `where`, in the order of their ids.

    waits: wait for rows that another transaction has locked, as a worker must for its own; otherwise skip them, as the
    dispatcher does.
    """
    columns = (
        table.id,
        table.run_id.label("run"),
        table.state,
        table.fence,
        table.crashes,
        table.lost_claims,
        table.faults,
    )
    # Every transaction locks rows in the order of their ids: two that want the same rows cannot deadlock.
    query = sa.select(*columns).where(*where).order_by(table.id).limit(limit).with_for_update(skip_locked=not waits)
    return rows_as(LockedRow, connection.execute(query))


def lock_in_runs(
    connection: Connection,
    table: WorkTable,
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
    waits: bool = False,
) -> tuple[list[LockedRow], frozenset[int]]:
    """Lock and return the rows that satisfy `where`, and the set of their runs that are cancelled.

    The runs stay locked until the transaction ends, so that none is cancelled or resumed meanwhile: a row that goes
    back to waiting in a run that was just cancelled would never end. Runs are locked before rows, as in `control`, to
    avoid deadlocks.
    """
    runs = sa.select(Run.id, Run.state).where(Run.id.in_(sa.select(table.run_id).where(*where)))
    states = dict(connection.execute(runs.order_by(Run.id).with_for_update(read=True)).all())
    # Rows of runs that were added since the runs were locked are left for the next call.
    rows = lock(connection, table, *where, is_one_of(table.run_id, states), limit=limit, waits=waits)
    return rows, frozenset(run for run, state in states.items() if state == RunState.CANCELLED)


def move(connection: Connection, table: WorkTable, rows: Sequence[LockedRow], state: State, **values: Any) -> None:
    """Move all rows to one state, with the same values."""
    if not rows:
        return
    ids = [row.id for row in rows]
    connection.execute(sa.update(table).where(is_one_of(table.id, ids)).values(state=state, **values))
    if table is Item:  # jobs are few: queries count their rows
        count(connection, counter_changes(rows, state))


def move_all(
    connection: Connection,
    table: WorkTable,
    run: int,
    states: Iterable[State],
    values: Mapping[str, Any],
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
) -> int:
    """Update the rows of a run in `states` that satisfy `where`; return their number. `values` include the new state.

    No row is loaded: one statement for each old state gives the numbers for the counters. Rows that another transaction
    has locked are waited for, in the order of their ids, which is the workers' order too.
    limit: at most so many rows of each state, the smallest ids first, skipping rows that another transaction has
    locked.
    """
    moved_from: dict[State, int] = {}
    # Rows that are in the new state already come first; otherwise those moved there would be moved a second time.
    for state in sorted(states, key=lambda state: state != values["state"]):
        those = sa.select(table.id).where(table.run_id == run, table.state == state, *where)
        held = those.order_by(table.id).limit(limit).with_for_update(skip_locked=limit is not None)
        change = sa.update(table).where(table.id.in_(held))
        moved_from[state] = connection.execute(change.values(**values)).rowcount
    if table is Item:
        counted = Counter({(run, str(state)): -n for state, n in moved_from.items()})
        counted.update({(run, str(values["state"])): sum(moved_from.values())})
        count(connection, counted)
    return sum(moved_from.values())


def move_each(
    connection: Connection, table: WorkTable, targets: Sequence[tuple[LockedRow, State, Mapping[str, Any]]]
) -> None:
    """Move each row to a state of its own, with values of its own; all mappings have the same keys."""
    if not targets:
        return
    names = list(targets[0][2])
    rows = [(row.id, str(state), None, *(values[name] for name in names)) for row, state, values in targets]
    update_rows(connection, table, ("id", "state", "lease_until", *names), rows)
    if table is Item:
        change: Counter[tuple[int, str]] = Counter()
        for row, state, _ in targets:
            change.update(counter_changes([row], state))
        count(connection, change)


def counter_changes(rows: Iterable[LockedRow], state: State) -> Counter[tuple[int, str]]:
    """The change of the counters, by run and state, when the rows move to the state."""
    change: Counter[tuple[int, str]] = Counter()
    for row in rows:
        change[row.run, row.state] -= 1
        change[row.run, str(state)] += 1
    return change


def count(connection: Connection, change: Mapping[tuple[int, str], int]) -> None:
    """Add the changes to this process's slot of the counters.

    Several slots keep processes that finish together from waiting for one row. Rows are written in one order to avoid
    deadlocks.
    """
    # SQLite has one writer at a time, so more slots would gain nothing there.
    slot = 0 if connection.dialect.name == "sqlite" else os.getpid() % COUNTER_SLOTS
    rows = [
        {"run_id": run, "state": state, "slot": slot, "n": n} for (run, state), n in sorted(change.items()) if n != 0
    ]
    if not rows:
        return
    statement = insert(connection, RunCounter)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["run_id", "state", "slot"], set_={"n": RunCounter.n + statement.excluded.n}
        ),
        rows,
    )
