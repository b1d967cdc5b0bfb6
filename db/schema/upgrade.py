"""The schema's version: bring it up to date, or say in a sentence why it cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from db.engine import Database, DatabaseUnusable

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).with_name("migrations")
_NEWEST = "0008"
"""The newest revision, so that opening a ledger that is up to date does not import Alembic; a test holds it true."""


def upgrade(database: Database) -> str:
    """Applies every revision that is missing; returns the newest one's name.

    Raises DatabaseUnusable when the database was made by a newer version.
    """
    found = _version(database)
    if found == _NEWEST:
        return found
    from alembic import command  # noqa: PLC0415  # slow to import, and rarely needed
    from alembic.util.exc import CommandError  # noqa: PLC0415

    with database.write() as connection:
        try:
            command.upgrade(_config(connection), "head")
        except CommandError as error:
            raise DatabaseUnusable(_newer(database, found)) from error
    return _NEWEST


def require_current(database: Database) -> None:
    """Raises DatabaseUnusable, saying what to do, unless the schema is this code's."""
    found = _version(database)
    if found is None:
        raise DatabaseUnusable(f"database {database.shown} holds no ledger yet; run `orchestrator db upgrade` once")
    if found == _NEWEST:
        return
    if not (_MIGRATIONS / "versions" / f"{found}.py").exists():
        raise DatabaseUnusable(_newer(database, found))
    raise DatabaseUnusable(f"database {database.shown} is of version {found}; run `orchestrator db upgrade`")


def _newer(database: Database, found: str | None) -> str:
    what_to_do = "upgrade Dawn Chorus, or use another home"
    return f"database {database.shown} is of version {found}, newer than this code's {_NEWEST}; {what_to_do}"


def _version(database: Database) -> str | None:
    import sqlalchemy as sa  # noqa: PLC0415

    with database.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found) if found is not None else None


def _config(connection: object) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config
