"""Workers as the ledger knows them: host, role, claims, and the time of their last progress."""

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
class KnownWorker:
    """A worker that has registered or holds a claim."""

    name: str
    host: str
    role: str
    device: str
    started_at: float | None
    progressed_age_s: float | None
    """Seconds since it last began or finished something, or a step of a long job; None if unknown."""
    holds_work: bool


def register(database: Database, name: str, host: str, role: str, device: str) -> None:
    """Record that a worker has started; delete those without progress for a week."""
    facts = {"host": host, "role": role, "device": device, "started_at": now_s(), "progressed_at": now_s()}
    with database.write() as connection:
        connection.execute(sa.delete(Worker).where(Worker.progressed_at < now_s() - _FORGOTTEN_AFTER_S))
        statement = insert(connection, Worker).values(name=name, **facts)
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=facts))


def deregister(database: Database, name: str) -> None:
    """Record that a worker has ended in an orderly way."""
    with database.write() as connection:
        connection.execute(sa.delete(Worker).where(Worker.name == name))


def note_progress(connection: Connection, name: str) -> None:
    """Record progress of the worker, at most once in two seconds; called in the transaction that makes the progress."""
    is_old = (Worker.name == name, Worker.progressed_at < now_s() - _NOTED_EVERY_S)
    connection.execute(sa.update(Worker).where(*is_old).values(progressed_at=now_s()))


def record_progress(database: Database, name: str) -> None:
    """`note_progress` in a transaction of its own, for a step of a long job."""
    with database.write() as connection:
        note_progress(connection, name)


def known_workers(database: Database) -> list[KnownWorker]:
    """All known workers by name, including those that hold claims and never registered."""
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
            KnownWorker(
                name, row.host if row else name.rpartition("@")[2], row.role if row else name.partition("-")[0],
                row.device if row else "", row.started_at if row else None,
                max(0.0, now - max(times)) if times else None, name in begun,
            )
        )  # fmt: skip
    return found


def _begun(connection: Connection) -> dict[str, float | None]:
    """For each worker with running claims, when it took the latest of them."""
    latest: dict[str, float | None] = {}
    for table in (Item, Job):
        # The second condition is always true; it lets SQLite use the partial index on running rows.
        is_running = (table.state == State.RUNNING, table.lease_until > 0)
        query = sa.select(table.worker, sa.func.max(table.started_at)).where(*is_running).group_by(table.worker)
        for name, started_at in connection.execute(query):
            latest[name or ""] = max(latest.get(name or "") or 0.0, started_at or 0.0)
    return latest
