"""Many rows at once, with the fastest statement of each database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.schema.tables import Table

_LARGE_CACHE = "PRAGMA cache_size=-16000"
"""Cache of a connection that writes many rows, in KiB; other connections keep SQLite's default of 2 MB."""


def insert_rows(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert rows whose values are in the order of `names`; columns left out must have a default in the database.

    SQLite runs one compiled statement for each row, PostgreSQL one COPY.
    """
    if not rows:
        return
    columns = f"{table.__tablename__} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_LARGE_CACHE)
        statement = f"INSERT INTO {columns} VALUES ({', '.join('?' * len(names))})"  # noqa: S608  # names are ours
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])
        return
    cursor: Any = connection.connection.cursor()  # COPY is the driver's own; SQLAlchemy has no statement for it
    with cursor, cursor.copy(f"COPY {columns} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def insert_missing(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """As `insert_rows`, but skip rows that violate a unique constraint."""
    if not rows:
        return
    columns = f"{table.__tablename__} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        values = f"VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(f"INSERT INTO {columns} {values}", [tuple(row) for row in rows])
        return
    given = f"SELECT * FROM {_unnest(connection, table, names)} ON CONFLICT DO NOTHING"  # noqa: S608  # names are ours
    connection.exec_driver_sql(f"INSERT INTO {columns} {given}", _by_column(rows))


def update_rows(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Update rows by id. `names` begins with the id, and so do the values of each row."""
    if not rows:
        return
    name, changed = table.__tablename__, names[1:]
    if connection.dialect.name == "sqlite":
        changes = ", ".join(f"{column} = ?" for column in changed)
        values = [(*row[1:], row[0]) for row in rows]
        connection.exec_driver_sql(f"UPDATE {name} SET {changes} WHERE {names[0]} = ?", values)  # noqa: S608  # names are ours
        return
    changes = ", ".join(f"{column} = given.{column}" for column in changed)
    given = f"{_unnest(connection, table, names)} WHERE {name}.{names[0]} = given.{names[0]}"
    connection.exec_driver_sql(f"UPDATE {name} SET {changes} FROM {given}", _by_column(rows))  # noqa: S608  # names are ours


def _unnest(connection: Connection, table: type[Table], names: Sequence[str]) -> str:
    """A PostgreSQL table `given` made of one array per column, so that one statement writes all rows."""
    types = [table.__table__.c[name].type.compile(connection.dialect) for name in names]
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)}) AS given ({', '.join(names)})"


def _by_column(rows: Sequence[Sequence[Any]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def new_ids(connection: Connection, table: type[Table], n: int) -> list[int]:
    """Reserve n ids that no other transaction gets.

    On SQLite the write transaction keeps them unique, on PostgreSQL the column's sequence.
    """
    if connection.dialect.name == "sqlite":
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.__table__.c.id), 0))).scalar_one()
        return list(range(last + 1, last + 1 + n))
    sequence = sa.func.pg_get_serial_sequence(table.__tablename__, "id")
    return list(connection.scalars(sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, n))))
