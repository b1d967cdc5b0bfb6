"""Engines and transactions for SQLite and PostgreSQL."""

from __future__ import annotations

import copy
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InvalidatePoolError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from domain.retry import FIRST_PAUSE_S, LONGEST_PAUSE_S
from domain.urls import require_database_url, shown

_LOG = logging.getLogger("chorus")
BUSY_TIMEOUT_MS = 30_000
_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "wal_autocheckpoint=10000",  # with the larger cache of `insert_rows`, planning a million items is 10 % faster
)

_DEAD_SERVER_DETECTION = {
    "connect_timeout": 5, "tcp_user_timeout": 20_000,
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2,
}  # fmt: skip
"""Detects within twenty seconds instead of hours that the server is gone without closing, as after a network cut."""

_DEAD_CLIENT_DETECTION = {
    "tcp_user_timeout": "20000", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
}  # fmt: skip
"""The same for the server. By default it keeps the locks of a worker that was cut off in a transaction for two hours,
and all others wait for them."""

_UNCHECKED_S = 1.0
"""Idle time up to which a connection is not checked before use; a check costs a round trip to the server."""


class DatabaseUnusable(ConnectionError):
    """The database is unreachable, or its schema is of an unknown version; never a recording's fault."""

    exit_code = 4


class now_s(FunctionElement[float]):  # noqa: N801  # reads as a SQL function
    """Seconds since 1970 by the database's clock. Hosts' clocks may differ; leases need one clock."""

    type = sa.Double()
    inherit_cache = True


@compiles(now_s, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_s, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class Database:
    """One database; connections are opened when needed and never cross a fork.

    url: `sqlite:///FILE` or `postgresql+psycopg://…`.
    is_read_only: the database refuses every write, and a missing SQLite file is not made.
    Raises: DatabaseUnusable for any other URL.
    """

    def __init__(self, url: str, *, keeps_connections: bool = True, is_read_only: bool = False) -> None:
        self.url = url
        try:
            require_database_url(url)
            parsed = make_url(url)
        except (ValueError, ArgumentError) as error:
            raise DatabaseUnusable(f"the database URL is invalid: {error}") from error
        pool = sa.pool.QueuePool if keeps_connections else sa.pool.NullPool
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        make = _sqlite_engine if self.is_sqlite else _postgresql_engine
        self.engine = make(parsed, pool, is_read_only=is_read_only)
        self._writer = self.engine.execution_options(chorus_write=True)
        outside: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reader = self.engine.execution_options(**outside)
        self._wait_s = 0.0

    def patient(self, wait_s: float) -> Database:
        """Return the same database for a job: each connection is awaited for up to `wait_s` seconds.

        A short outage then costs a training no attempt. A statement that fails on an open connection still raises.
        """
        patient = copy.copy(self)
        patient._wait_s = wait_s
        return patient

    @property
    def _driver(self) -> Any:
        return self.engine.dialect.loaded_dbapi

    @property
    def safe_url(self) -> str:
        """The URL without user, password and options."""
        return shown(self.url)

    def require_answer(self) -> None:
        """Check that the database answers. Raises: DatabaseUnusable."""
        with self.read() as connection:
            connection.execute(sa.select(1))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for reading. SQLite gives one snapshot to all statements, PostgreSQL one to each.

        At PostgreSQL's isolation level, read committed, a transaction would not change that; none is begun, which saves
        two round trips to the server.
        Raises: DatabaseUnusable.
        """
        with self._named_errors(), self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open one write transaction. Raises: DatabaseUnusable.

        SQLite takes the write lock at the start: a lock taken later would make the transaction fail instead of wait.
        """
        with self._named_errors(), self._transaction(self._writer) as connection:
            yield connection

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[Connection]:
        give_up_s, pause_s = time.monotonic() + self._wait_s, FIRST_PAUSE_S
        with ExitStack() as stack:
            while True:
                try:
                    connection = stack.enter_context(engine.begin())
                    break
                except DBAPIError as error:
                    if time.monotonic() + pause_s > give_up_s:
                        raise
                    _LOG.warning("database %s: %s; trying again", self.safe_url, error.orig)
                    time.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            yield connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):  # a defect of this code, not an unreachable database
            raise
        except DBAPIError as error:
            cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
            raise DatabaseUnusable(f"database {self.safe_url}: {cause}") from error
        except (self._driver.IntegrityError, self._driver.ProgrammingError):
            raise
        except self._driver.Error as error:  # from the driver's own cursor, as for COPY
            raise DatabaseUnusable(f"database {self.safe_url}: {error}") from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _sqlite_engine(url: sa.URL, pool: type[sa.Pool], *, is_read_only: bool) -> sa.Engine:
    connect_args: dict[str, Any] = {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    if is_read_only:
        file = f"{Path(url.database or '').absolute().as_uri()}?mode=ro"
        engine = sa.create_engine(url, poolclass=pool, creator=lambda: sqlite3.connect(file, uri=True, **connect_args))
    else:
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = sa.create_engine(url, poolclass=pool, connect_args=connect_args)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # `begin` below starts transactions, not the driver
        for pragma in () if is_read_only else _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get("chorus_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


def _postgresql_engine(url: sa.URL, pool: type[sa.Pool], *, is_read_only: bool) -> sa.Engine:
    settings = _DEAD_CLIENT_DETECTION | ({"default_transaction_read_only": "on"} if is_read_only else {})
    engine = sa.create_engine(
        url,
        poolclass=pool,
        connect_args={
            "prepare_threshold": None,
            "application_name": "dawn-chorus",
            **_DEAD_SERVER_DETECTION,
        },
    )

    # Not the URL's `options`, which may hold settings of the user.
    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
        connection.autocommit = False

    # Not `pool_pre_ping`, which would check before every use (docs/notes/decisions.md).
    @sa.event.listens_for(engine, "checkin")
    def record_use(_connection: Any, record: Any) -> None:
        record.info["used_s"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def check_idle(connection: Any, record: Any, _proxy: Any) -> None:
        used_s = record.info.get("used_s")
        if used_s is not None and time.monotonic() - used_s > _UNCHECKED_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error  # the pool opens a new connection

    return engine
