"""Engines and transactions, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InvalidatePoolError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

BUSY_TIMEOUT_MS = 30_000
_SQLITE_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=NORMAL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "wal_autocheckpoint=10000",  # with the larger cache of `insert_rows` planning a million is a tenth faster
)

_NOTICED = {
    "connect_timeout": 5, "tcp_user_timeout": 20_000,
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2,
}  # fmt: skip
"""A server that went away without a word, as when a network is cut, is noticed in twenty seconds, not hours."""

_TRUSTED_S = 1.0
"""A connection that was used so lately is not asked whether it lives: a way to the server and back for nothing."""


class DatabaseUnusable(ConnectionError):
    """The database is out of reach, or of a version this code does not know: never a recording's fault."""

    exit_code = 4


class now_s(FunctionElement[float]):  # noqa: N801  # reads as a SQL function
    """Seconds since 1970 by the database's clock: hosts' clocks may differ, leases must not."""

    type = sa.Double()
    inherit_cache = True


@compiles(now_s, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_s, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class Database:
    """One database; connections are made when needed and never cross a fork.

    url: `sqlite:///FILE` or `postgresql+psycopg://…`.
    Raises DatabaseUnusable for another kind of URL.
    """

    def __init__(self, url: str, *, keeps_connections: bool = True) -> None:
        self.url = url
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            hint = "use sqlite:///FILE or postgresql+psycopg://HOST/NAME"
            raise DatabaseUnusable(f"the database URL given is not one; {hint}") from error
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if not self.is_sqlite and parsed.get_backend_name() != "postgresql":
            raise DatabaseUnusable(f"database {parsed.get_backend_name()!r} is neither sqlite nor postgresql")
        pool = sa.pool.QueuePool if keeps_connections else sa.pool.NullPool
        self.engine = _sqlite_engine(parsed, pool) if self.is_sqlite else _postgresql_engine(parsed, pool)
        self._writer = self.engine.execution_options(chorus_write=True)
        outside: dict[str, Any] = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reader = self.engine.execution_options(**outside)

    @property
    def _driver(self) -> Any:
        return self.engine.dialect.loaded_dbapi

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return make_url(self.url).render_as_string(hide_password=True)

    def require_answer(self) -> None:
        """Raises DatabaseUnusable unless the database answers."""
        with self.read() as connection:
            connection.execute(sa.select(1))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Writes nothing. SQLite gives one view to all statements, PostgreSQL one to each.

        A transaction at PostgreSQL's level, read committed, would not change that: none is begun there, which saves
        two ways to the server and back.
        """
        with self._named_errors(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction; SQLite takes the write lock at its start, and so waits instead of failing at its end."""
        with self._named_errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):  # ours: a defect, not a database out of reach
            raise
        except DBAPIError as error:
            cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
            raise DatabaseUnusable(f"database {self.shown}: {cause}") from error
        except (self._driver.IntegrityError, self._driver.ProgrammingError):
            raise
        except self._driver.Error as error:  # from a cursor of the driver's own, as for COPY
            raise DatabaseUnusable(f"database {self.shown}: {error}") from error

    def close(self) -> None:
        """Ends all connections."""
        self.engine.dispose()


def _sqlite_engine(url: sa.URL, pool: type[sa.Pool]) -> sa.Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connect_args = {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    engine = sa.create_engine(url, poolclass=pool, connect_args=connect_args)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not inside the driver
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get("chorus_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


def _postgresql_engine(url: sa.URL, pool: type[sa.Pool]) -> sa.Engine:
    engine = sa.create_engine(
        url, poolclass=pool, connect_args={"prepare_threshold": None, "application_name": "dawn-chorus", **_NOTICED}
    )

    @sa.event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["used_s"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        used_s = record.info.get("used_s")
        if used_s is not None and time.monotonic() - used_s > _TRUSTED_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error  # the pool connects anew

    return engine
