"""The leader lock: of several dispatchers that share a PostgreSQL database, one works and the others stand by."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database

_KEY = int.from_bytes(b"chorus", "big")
"""Key of the advisory lock; such locks are per database, so a constant cannot clash with another home."""
_LOST_AFTER_MS = 10_000
_KEEPALIVES = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}
"""Client and server each notice within ten seconds that the other end is gone, even without a closing packet."""


class Leadership:
    """A lock held by one connection: it becomes free when the process that holds it ends or loses the network.

    A standby keeps its connection open too, so taking over needs no name lookup and no login. On SQLite every process
    leads: only one can run, because of the home's file lock.
    """

    def __init__(self, database: Database) -> None:
        self._connection: Connection | None = None
        self._is_held = False
        self._engine = None if database.is_sqlite else _engine(database.url)

    def __enter__(self) -> Leadership:
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up()

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether this process holds it. False if the database is unreachable."""
        if self._engine is None:
            return True
        try:
            if self._connection is None:
                self._connection = _connect(self._engine)
            # While the lock is held, a plain query checks the connection; the lock ends with the connection.
            asked = sa.select(1) if self._is_held else sa.select(sa.func.pg_try_advisory_lock(_KEY))
            self._is_held = bool(self._connection.execute(asked).scalar_one())
        except sa.exc.DBAPIError:
            self._give_up()
        return self._is_held

    def _give_up(self) -> None:
        self._is_held = False
        if self._connection is not None:
            self._connection.invalidate()  # ended, not returned to a pool: only that frees the lock
            self._connection.close()
            self._connection = None


def _connect(engine: sa.Engine) -> Connection:
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
    # AUTOCOMMIT: an open transaction for as long as the process leads would keep PostgreSQL from vacuuming.
    return sa.create_engine(
        url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT",
        connect_args={"prepare_threshold": None, "application_name": "dawn-chorus dispatcher", **timeouts},
    )  # fmt: skip
