"""The ledger's id, and its marker in the store: whether this is the store that the ledger's rows refer to."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database
from db.named_rows import rows_as
from db.schema.tables import Artifact, JobFile, LedgerIdentity
from db.store.interface import Store
from db.store.marker import marker_key, not_the_store

_SAMPLED = 5


def ledger_id(database: Database) -> str:
    """The ledger's id. A new ledger gets one, and so does a copy: the original goes on using its own."""
    place = _place(database)
    with database.read() as connection:
        row = _row(connection)
    if row and _is_same(row.place, place):
        return row.id
    with database.write() as connection:
        if not database.is_sqlite:  # whose write transactions exclude each other
            connection.exec_driver_sql("LOCK TABLE ledger IN SHARE ROW EXCLUSIVE MODE")
        row = _row(connection)  # another process may have been faster
        if row and _is_same(row.place, place):
            return row.id
        made = uuid.uuid4().hex
        connection.execute(sa.delete(LedgerIdentity))
        connection.execute(sa.insert(LedgerIdentity).values(id=made, place=place, store=row.store if row else None))
    return made


def adopt(database: Database, store: Store) -> None:
    """Make sure that the store is the ledger's, and bind it. Call it before anything is written.

    A store without the ledger's marker gets one if no row refers to a file yet, or if one of a sample of known files is
    there: the ledger is of an earlier version, or a copy. A store that rows refer to is never created anew.
    Raises: StoreUnreachable if it is not the ledger's store.
    """
    ledger = ledger_id(database)
    marker = marker_key(ledger)
    if marker not in store:
        with database.read() as connection:
            row, known = _row(connection), _sample(connection)
        was_here = row is not None and row.store == store.location
        # Without files, the marker of the ledger's earlier id shows that the store is not an empty mount point.
        is_known_store = any(key in store for key in known) or (not known and bool(store.ledgers()))
        if (known or was_here) and not is_known_store and marker not in store:  # another process may have been faster
            raise not_the_store(store.location, ledger)
        store.create(marker, b"")
    store.bind(ledger)
    is_new = sa.or_(LedgerIdentity.store.is_(None), LedgerIdentity.store != store.location)
    with database.read() as connection:
        if connection.execute(sa.select(LedgerIdentity.id).where(is_new)).first() is None:
            return
    with database.write() as connection:
        connection.execute(sa.update(LedgerIdentity).values(store=store.location))


def bind_if_adopted(database: Database, store: Store) -> None:
    """Bind a store that was adopted before, for commands that only read. Other stores stay unbound."""
    with database.read() as connection:
        row = _row(connection)
    if row and row.store == store.location and _is_same(row.place, _place(database)):
        store.bind(row.id)


class _IdentityRow(NamedTuple):
    id: str
    place: str
    store: str | None


def _row(connection: Connection) -> _IdentityRow | None:
    query = sa.select(LedgerIdentity.id, LedgerIdentity.place, LedgerIdentity.store)
    found = rows_as(_IdentityRow, connection.execute(query))
    return found[0] if found else None


def _sample(connection: Connection) -> list[str]:
    """Keys of the first and last strips and of the last files of jobs."""
    strips = [sa.select(Artifact.key).order_by(order).limit(_SAMPLED) for order in (Artifact.id, Artifact.id.desc())]
    files = sa.select(JobFile.key).order_by(JobFile.job_id.desc()).limit(_SAMPLED)
    return list(dict.fromkeys(key for query in (*strips, files) for key in connection.scalars(query)))


def _place(database: Database) -> str:
    """What tells this database from a copy of it: inode, device and path of a file; a number in its server."""
    if database.is_sqlite:
        path = Path(str(database.engine.url.database))
        found = path.stat()
        return json.dumps([found.st_ino, found.st_dev, os.fspath(path)])
    with database.read() as connection:
        return str(
            connection.exec_driver_sql("SELECT oid FROM pg_database WHERE datname = current_database()").scalar()
        )


def _is_same(recorded: str, place: str) -> bool:
    """Whether both are one database. A file that was renamed, or whose device has another number now, is the same."""
    if recorded == place or not place.startswith("["):
        return recorded == place
    (inode, *others), (recorded_inode, *recorded_others) = json.loads(place), json.loads(recorded)
    return inode == recorded_inode and any(a == b for a, b in zip(others, recorded_others, strict=True))
