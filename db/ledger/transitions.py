"""Moves from state to state, with the counters kept in the same transaction.

Every function here is called inside a write transaction whose rows are locked: by SQLite's one write lock, or by
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
Worked = type[Item] | type[Job]


class Locked(NamedTuple):
    """A row that this transaction holds."""

    id: int
    run: int
    state: str
    fence: int
    crashes: int
    lost_claims: int
    faults: int

    @property
    def counters(self) -> Counters:
        """What counts against it."""
        return Counters(self.crashes, self.lost_claims, self.faults)


def insert(connection: Connection, table: type[Table]) -> Any:
    """An INSERT of the connection's dialect, which knows ON CONFLICT."""
    return import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)


def lock(
    connection: Connection, table: Worked, *where: sa.ColumnElement[bool], limit: int | None = None, waits: bool = False
) -> list[Locked]:
    """The rows that satisfy `where`, in the order of their ids.

    Rows another transaction holds are left out, or waited for: a sweep takes what is free, a worker needs its own.
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
    query = sa.select(*columns).where(*where).order_by(table.id).limit(limit).with_for_update(skip_locked=not waits)
    return rows_as(Locked, connection.execute(query))


def lock_in_runs(
    connection: Connection, table: Worked, *where: sa.ColumnElement[bool], limit: int | None = None, waits: bool = False
) -> tuple[list[Locked], frozenset[int]]:
    """The rows that satisfy `where`, and those of their runs that are cancelled.

    No run is cancelled or resumed before the transaction ends: what goes back to waiting must not do so behind the back
    of one who calls everything off. Runs are locked first, as steering does it, so that nobody waits in a ring.
    """
    runs = sa.select(Run.id, Run.state).where(Run.id.in_(sa.select(table.run_id).where(*where)))
    states = dict(connection.execute(runs.order_by(Run.id).with_for_update(read=True)).all())
    rows = lock(connection, table, *where, is_one_of(table.run_id, states), limit=limit, waits=waits)
    return rows, frozenset(run for run, state in states.items() if state == RunState.CANCELLED)


def move(connection: Connection, table: Worked, rows: Sequence[Locked], state: State, **values: Any) -> None:
    """All rows to one state, with the same values."""
    if not rows:
        return
    ids = [row.id for row in rows]
    connection.execute(sa.update(table).where(is_one_of(table.id, ids)).values(state=state, **values))
    if table is Item:
        count(connection, moved(rows, state))


def move_all(
    connection: Connection,
    table: Worked,
    run: int,
    states: Iterable[State],
    values: Mapping[str, Any],
    *where: sa.ColumnElement[bool],
    limit: int | None = None,
) -> int:
    """Gives the values, a state among them, to all rows of a run in `states` that satisfy `where`; their number.

    No row is loaded, however many there are: a statement a state tells the counters where they came from. Rows that
    another transaction holds are waited for, and taken in the order in which workers take them: nobody waits in a ring.
    limit: about so many of each state at most, the smallest ids first, and none that another transaction holds.
    """
    moved_from: dict[State, int] = {}
    for state in sorted(states, key=lambda state: state != values["state"]):  # who stays first: none is moved twice
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
    connection: Connection, table: Worked, targets: Sequence[tuple[Locked, State, Mapping[str, Any]]]
) -> None:
    """Each row to a state of its own, with values of its own; all mappings have the same keys."""
    if not targets:
        return
    names = list(targets[0][2])
    rows = [(row.id, str(state), None, *(values[name] for name in names)) for row, state, values in targets]
    update_rows(connection, table, ("id", "state", "lease_until", *names), rows)
    if table is Item:
        change: Counter[tuple[int, str]] = Counter()
        for row, state, _ in targets:
            change.update(moved([row], state))
        count(connection, change)


def moved(rows: Iterable[Locked], state: State) -> Counter[tuple[int, str]]:
    """What the move does to the counters, by run and state."""
    change: Counter[tuple[int, str]] = Counter()
    for row in rows:
        change[row.run, row.state] -= 1
        change[row.run, str(state)] += 1
    return change


def count(connection: Connection, change: Mapping[tuple[int, str], int]) -> None:
    """Adds the changes to this process's slot of the counters; rows in one order, to avoid deadlocks."""
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
