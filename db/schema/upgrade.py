"""The schema's version: upgrade it, or report why the database cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from db.engine import Database, DatabaseUnusable

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).with_name("migrations")
_NEWEST = "0011"
"""The newest revision; a constant, so that opening a current ledger need not import Alembic. A test checks it."""

_UPGRADE_LOCK = 6_203_187_420
"""The advisory lock under which one command at a time upgrades a ledger on PostgreSQL; others then find it current."""


def upgrade(database: Database) -> str:
    """Apply all missing revisions; return the name of the newest.

    Raises: DatabaseUnusable if the database was made by a newer version.
    """
    found = _version(database)
    if found == _NEWEST:
        return found
    from alembic import command  # noqa: PLC0415  # slow to import, and rarely needed
    from alembic.util.exc import CommandError  # noqa: PLC0415

    with database.write() as connection:
        if not database.is_sqlite:  # whose write transactions wait for each other anyhow
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        try:
            command.upgrade(_config(connection), "head")
        except CommandError as error:
            raise DatabaseUnusable(_newer(database, found)) from error
    return _NEWEST


def require_current(database: Database) -> None:
    """Check that the schema is of this version. Raises: DatabaseUnusable with the command to run."""
    found = _version(database)
    if found is None:
        raise DatabaseUnusable(f"database {database.safe_url} holds no ledger yet; run `orchestrator db upgrade` once")
    if found == _NEWEST:
        return
    if not (_MIGRATIONS / "versions" / f"{found}.py").exists():
        raise DatabaseUnusable(_newer(database, found))
    raise DatabaseUnusable(f"database {database.safe_url} is of version {found}; run `orchestrator db upgrade`")


def _newer(database: Database, found: str | None) -> str:
    what_to_do = "upgrade Dawn Chorus, or use another home"
    return f"database {database.safe_url} is of version {found}, newer than this code's {_NEWEST}; {what_to_do}"


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
