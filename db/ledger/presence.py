"""Workers as the ledger knows them: where they are, what they have, and when each last went on with its work."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.ledger.transitions import insert
from db.schema.tables import Item, Job, Worker
from domain.states import State

_FORGOTTEN_AFTER_S = 7 * 86_400.0
_NOTED_EVERY_S = 2.0


@dataclass(frozen=True)
class Present:
    """A worker that has registered, or holds a claim."""

    name: str
    host: str
    role: str
    device: str
    started_at: float | None
    progressed_age_s: float | None
    """Seconds since it last began, finished, or made a step of a long job; None where nothing is known."""
    holds_work: bool


def register(database: Database, name: str, host: str, role: str, device: str) -> None:
    """Notes that a worker has started; forgets those that did nothing for a week."""
    facts = {"host": host, "role": role, "device": device, "started_at": now_s(), "progressed_at": now_s()}
    with database.write() as connection:
        connection.execute(sa.delete(Worker).where(Worker.progressed_at < now_s() - _FORGOTTEN_AFTER_S))
        statement = insert(connection, Worker).values(name=name, **facts)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=facts))


def deregister(database: Database, name: str) -> None:
    """Notes that a worker has ended by itself."""
    with database.write() as connection:
        connection.execute(sa.delete(Worker).where(Worker.name == name))


def note_progress(connection: Connection, name: str) -> None:
    """The worker went on; written once in two seconds at most. Called in the transaction that shows it."""
    is_old = (Worker.name == name, Worker.progressed_at < now_s() - _NOTED_EVERY_S)
    connection.execute(sa.update(Worker).where(*is_old).values(progressed_at=now_s()))


def went_on(database: Database, name: str) -> None:
    """`note_progress`, where no other transaction shows it: a step of a long job."""
    with database.write() as connection:
        note_progress(connection, name)


def present(database: Database) -> list[Present]:
    """Every worker that is known, by name; those that hold claims and never registered among them."""
    known = sa.select(Worker.name, Worker.host, Worker.role, Worker.device, Worker.started_at, Worker.progressed_at)
    with database.read() as connection:
        now = connection.execute(sa.select(now_s())).scalar_one()
        rows = {row.name: row for row in connection.execute(known)}
        begun = _begun(connection)
    found = []
    for name in sorted({*rows, *begun}):
        row = rows.get(name)
        times = [time for time in (row and row.progressed_at, begun.get(name)) if time is not None]
        found.append(
            Present(
                name, row.host if row else name.rpartition("@")[2], row.role if row else name.partition("-")[0],
                row.device if row else "", row.started_at if row else None,
                max(0.0, now - max(times)) if times else None, name in begun,
            )
        )  # fmt: skip
    return found


def _begun(connection: Connection) -> dict[str, float | None]:
    """When the holder of each running claim took the last of its own."""
    latest: dict[str, float | None] = {}
    for table in (Item, Job):
        # The second condition is always true, and lets SQLite use the index of what is running.
        is_running = (table.state == State.RUNNING, table.lease_until > 0)
        query = sa.select(table.worker, sa.func.max(table.started_at)).where(*is_running).group_by(table.worker)
        for name, started_at in connection.execute(query):
            latest[name or ""] = max(latest.get(name or "") or 0.0, started_at or 0.0)
    return latest
