"""The settings, ledger and store of a command. Errors while opening them are single sentences."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from db.engine import Database
from db.ledger.identity import bind_if_adopted
from db.schema.upgrade import require_current, upgrade
from db.store.interface import Store, open_store
from db.store.keys import named_digest
from domain.errors import MachineFault, UsageError
from orchestrator.home import require_home, require_readable
from orchestrator.waiting import Say, wait_for
from settings import Settings


@dataclass(frozen=True)
class Session:
    """The settings, ledger and store of one command."""

    settings: Settings
    database: Database
    store: Store


def settings_from(options: dict[str, object]) -> Settings:
    """Settings from the given options, then from the environment.

    Raises:
        UsageError: a value is not valid.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # several settings exclude each other
            raise UsageError(message) from error
        name = "CHORUS_" + "_".join(map(str, first["loc"])).upper()
        shown = "not usable" if name.endswith("_URL") else repr(first["input"])  # a URL may hold a password
        raise UsageError(f"setting {name} is {shown}: {message}") from error


def open_session(settings: Settings, *, make: bool = True, say: Say = print) -> Session:
    """Open ledger and store. Creates and upgrades the SQLite file of a home.

    make: whether a missing home may be created; reading commands refuse instead.
    say: prints why the command waits, if the database is given by URL.

    Raises:
        HomeUnusable: the home is missing or cannot be written.
        DatabaseUnusable: the database does not answer, has another version, or has no tables.
    """
    require_home(settings, make=make)
    database = Database(settings.database)
    if settings.database_url:
        wait_for(lambda: require_current(database), settings.wait_s, say, settings.progress_file)
    else:
        upgrade(database)
    store = open_store(settings.store, settings.cache, settings.cache_bytes, plain_http=settings.is_endpoint_here)
    bind_if_adopted(database, store)
    return Session(settings, database, store)


def open_read_only(settings: Settings) -> Session:
    """Open ledger and store for reading. Nothing is made, upgraded or locked; workers may go on meanwhile.

    Connections are closed after each query, so that a notebook that is left open holds none.
    Raises:
        HomeUnusable: the home holds no ledger, or SQLite cannot make the files beside it that readers need.
        DatabaseUnusable: the database does not answer, has another version, or has no tables.
    """
    require_readable(settings)
    database = Database(settings.database, keeps_connections=False, is_read_only=True)
    require_current(database)
    store = open_store(settings.store, settings.cache, settings.cache_bytes, plain_http=settings.is_endpoint_here)
    bind_if_adopted(database, store)
    return Session(settings, database, store)


def local_report(session: Session, address: str) -> str:
    """The path of a report; a report on S3 is copied into the home.

    Raises:
        MachineFault: the report is missing.
        Damaged: the report on S3 is not what was written.
        OSError: the home cannot be written.
    """
    key = address.removeprefix(f"{session.store.location}/")
    if key not in session.store:
        command = session.settings.command("doctor --repair")
        raise MachineFault(f"{address} is gone; run `{command}`, which says how to regenerate it")
    if "://" not in address:
        return address
    copy = session.settings.home / key
    copy.parent.mkdir(parents=True, exist_ok=True)
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.write_bytes(session.store.get(key, named_digest(key)))
    unfinished.replace(copy)
    return str(copy)
