"""Many rows at once, by the fastest statement each database has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.tables import Table


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
        statement = f"INSERT INTO {columns} VALUES ({', '.join('?' * len(names))})"  # noqa: S608  # names are ours
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])
        return
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {columns} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def new_ids(connection: Connection, table: type[Table], n: int) -> list[int]:
    """n ids nobody else will get; on SQLite inside a write transaction, on PostgreSQL from the column's sequence."""
    if connection.dialect.name == "sqlite":
        last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.__table__.c.id), 0))).scalar_one()
        return list(range(last + 1, last + 1 + n))
    sequence = sa.func.pg_get_serial_sequence(table.__tablename__, "id")
    return list(connection.scalars(sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, n))))
