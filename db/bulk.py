"""Many rows at once, by the fastest statement each database has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.schema.tables import Table

_LARGE_CACHE = "PRAGMA cache_size=-16000"
"""In KiB, from then on, for a connection that writes many rows; all others make do with SQLite's default of 2 MB."""


def insert_rows(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Inserts the rows, each with a value for every name, in this order; columns left out must have a default.

    SQLite takes them one after the other in one compiled statement, PostgreSQL by COPY.
    """
    if not rows:
        return
    columns = f"{table.__tablename__} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_LARGE_CACHE)
        statement = f"INSERT INTO {columns} VALUES ({', '.join('?' * len(names))})"  # noqa: S608  # names are ours
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])
        return
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {columns} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def insert_missing(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """As `insert_rows`, but leaves out what a unique constraint already knows."""
    if not rows:
        return
    columns = f"{table.__tablename__} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        values = f"VALUES ({', '.join('?' * len(names))}) ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(f"INSERT INTO {columns} {values}", [tuple(row) for row in rows])
        return
    given = f"SELECT * FROM {_given(connection, table, names)} ON CONFLICT DO NOTHING"  # noqa: S608  # names are ours
    connection.exec_driver_sql(f"INSERT INTO {columns} {given}", _by_column(rows))


def update_rows(
    connection: Connection, table: type[Table], names: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Gives each row, whose id comes first, a value for every name after that."""
    if not rows:
        return
    name, changed = table.__tablename__, names[1:]
    if connection.dialect.name == "sqlite":
        changes = ", ".join(f"{column} = ?" for column in changed)
        values = [(*row[1:], row[0]) for row in rows]
        connection.exec_driver_sql(f"UPDATE {name} SET {changes} WHERE {names[0]} = ?", values)  # noqa: S608  # names are ours
        return
    changes = ", ".join(f"{column} = given.{column}" for column in changed)
    given = f"{_given(connection, table, names)} WHERE {name}.{names[0]} = given.{names[0]}"
    connection.exec_driver_sql(f"UPDATE {name} SET {changes} FROM {given}", _by_column(rows))  # noqa: S608  # names are ours


def _given(connection: Connection, table: type[Table], names: Sequence[str]) -> str:
    """PostgreSQL's table of a list for each column: one statement for all rows."""
    types = [table.__table__.c[name].type.compile(connection.dialect) for name in names]
    return f"unnest({', '.join(f'%s::{kind}[]' for kind in types)}) AS given ({', '.join(names)})"


def _by_column(rows: Sequence[Sequence[Any]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def new_ids(connection: Connection, table: type[Table], n: int) -> list[int]:
    """n ids nobody else will get; on SQLite inside a write transaction, on PostgreSQL from the column's sequence."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.__table__.c.id), 0))).scalar_one()
        return list(range(last + 1, last + 1 + n))
    sequence = sa.func.pg_get_serial_sequence(table.__tablename__, "id")
    return list(connection.scalars(sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, n))))
