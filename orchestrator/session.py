"""What a command needs: settings, ledger and store, opened so that a refusal is one sentence."""

from __future__ import annotations

import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from db.engine import Database
from db.schema.upgrade import require_current, upgrade
from db.store.interface import Store, open_store
from domain.errors import ChorusError, MachineFault
from orchestrator.execution.stack import HomeUnusable
from orchestrator.execution.waiting import awaited
from settings import Settings


class SettingsUnusable(ChorusError):
    """A setting has a value that makes no sense."""

    exit_code = 2


@dataclass(frozen=True)
class Session:
    """One command's view of the system."""

    settings: Settings
    database: Database
    store: Store


def settings_from(options: dict[str, object]) -> Settings:
    """Settings from the options a person gave, then the environment. Raises SettingsUnusable."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # several settings that do not go together
            raise SettingsUnusable(message) from error
        name = "CHORUS_" + "_".join(map(str, first["loc"])).upper()
        shown = "not usable" if name.endswith("_URL") else repr(first["input"])  # a URL may hold a password
        raise SettingsUnusable(f"setting {name} is {shown}: {message}") from error


def opened(settings: Settings, *, make: bool = True) -> Session:
    """Ledger and store for these settings; our own SQLite file is made and brought up to date on the way.

    make: whether a home that is not there may be made; reading commands refuse instead.
    A database given by URL is waited for, as the settings say.
    Raises HomeUnusable, or DatabaseUnusable for a database that is out of reach, of another version, or not set up.
    """
    require_home(settings, make=make)
    database = Database(settings.database)
    if settings.database_url:
        awaited(lambda: require_current(database), settings.wait_s, settings.progress_file)
    else:
        upgrade(database)
    store = open_store(settings.store, settings.cache, settings.cache_bytes, plain_http=settings.is_endpoint_here)
    return Session(settings, database, store)


def seen_by_others(home: Path) -> str:
    """The home's mode where others than its owner may look into it, as `755`; else "".

    Ledger and store say who recorded what and where.
    """
    mode = stat.S_IMODE(home.stat().st_mode) if home.is_dir() else 0
    return f"{mode:o}" if mode & 0o077 else ""


def fetched(session: Session, address: str) -> str:
    """The path of a report: where it stands, or, of a store on S3, a copy in the home.

    Raises MachineFault for one that is gone, OSError where the home takes no copy.
    """
    key = address.removeprefix(f"{session.store.shown}/")
    if key not in session.store:
        advised = session.settings.advised("doctor --repair")
        raise MachineFault(f"{address} is gone; `{advised}` says how to have it made again")
    if "://" not in address:
        return address
    copy = session.settings.home / key
    copy.parent.mkdir(parents=True, exist_ok=True)
    unfinished = copy.with_name(f"{copy.name}.unfinished")
    unfinished.write_bytes(session.store.get(key))
    unfinished.replace(copy)
    return str(copy)


def require_home(settings: Settings, *, make: bool = True) -> None:
    """The home is there and can be written, or the ledger stands elsewhere. Raises HomeUnusable.

    make: it may be made, and is for its owner alone; one that is there keeps its mode, for others may be meant to read
    it: see `seen_by_others`.
    """
    home = settings.home
    if settings.database_url:
        if make:
            with suppress(OSError):  # it may never be needed; whoever writes there first says what is wrong
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    if not make and not (home / "ledger.sqlite").exists():
        raise HomeUnusable(
            f"there is no ledger in {home} yet; `orchestrator run PATH` makes one, or name another --home"
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeUnusable(
            f"home {home} cannot be written: {error.strerror}; choose another one with --home"
        ) from error
