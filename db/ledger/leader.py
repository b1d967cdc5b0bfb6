"""The dispatcher's turn: of several that share a PostgreSQL database one works, the others stand by."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database

_KEY = int.from_bytes(b"chorus", "big")
"""Of the advisory lock; such locks belong to one database, so a number of ours is enough."""
_LOST_AFTER_MS = 10_000
_KEEPALIVES = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}
"""Both ends notice within ten seconds that the other one is gone, however it went."""


class Turn:
    """A lock that lives as long as one connection: it is free as soon as its holder ends or is cut off.

    Whoever stands by keeps a connection too: at the moment of taking over no name need be looked up and nobody greeted.
    With SQLite the turn is always ours: there the home's file lock decides.
    """

    def __init__(self, database: Database) -> None:
        self._connection: Connection | None = None
        self._is_held = False
        self._engine = None if database.is_sqlite else _engine(database.url)

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    def is_ours(self) -> bool:
        """Whether the turn is ours now; takes it when it is free. A database out of reach is nobody's turn."""
        if self._engine is None:
            return True
        try:
            if self._connection is None:
                self._connection = _connected(self._engine)
            asked = sa.select(1) if self._is_held else sa.select(sa.func.pg_try_advisory_lock(_KEY))
            self._is_held = bool(self._connection.execute(asked).scalar_one())
        except sa.exc.DBAPIError:
            self._give_up()
        return self._is_held

    def _give_up(self) -> None:
        self._is_held = False
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def _connected(engine: sa.Engine) -> Connection:
    connection = engine.connect()
    try:
        for name, value in {**_KEEPALIVES, "user_timeout": _LOST_AFTER_MS}.items():
            connection.exec_driver_sql(f"SET tcp_{name} = {value}")  # the server's end of the connection
    except sa.exc.DBAPIError:
        connection.close()
        raise
    return connection


def _engine(url: str) -> sa.Engine:
    timeouts = {"connect_timeout": 5, "tcp_user_timeout": _LOST_AFTER_MS, **_KEEPALIVES}
    return sa.create_engine(
        url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT",
        connect_args={"prepare_threshold": None, "application_name": "dawn-chorus dispatcher", **timeouts},
    )  # fmt: skip
