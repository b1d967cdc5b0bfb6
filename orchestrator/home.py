"""The home folder: its rights, and the lock that keeps two commands from working in it at once."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from domain.errors import HomeUnusable
from settings import Settings


def require_home(settings: Settings, *, make: bool = True) -> None:
    """Checks that the home exists and can be written, unless the ledger is named by a URL.

    make: creates a missing home, with access for its owner only. An existing home keeps its mode, because others may
    be meant to read it: see `seen_by_others`.

    Raises:
        HomeUnusable: with what to do about it.
    """
    home = settings.home
    if settings.database_url:
        if make:
            with suppress(OSError):  # it may never be needed; the first write reports the error
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


def seen_by_others(home: Path) -> str:
    """The home's mode, such as `755`, if others than its owner may read it; else "".

    Ledger and store hold who recorded what and where.
    """
    mode = stat.S_IMODE(home.stat().st_mode) if home.is_dir() else 0
    return f"{mode:o}" if mode & 0o077 else ""


def lock_home(home: Path) -> IO[str]:
    """The home's lock, held until the file is closed or the process ends.

    Raises:
        HomeUnusable: another command holds the lock, or the home cannot be written.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (home / "lock").open("a+")
    except OSError as error:
        raise HomeUnusable(
            f"home {home} cannot be written: {error.strerror}; choose another one with --home"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        sentence = "a dispatcher takes more work by `orchestrator submit`; otherwise wait, or choose another --home"
        raise HomeUnusable(f"another `run` or `dispatcher` is at work in {home}; {sentence}") from error
    lock.truncate(0)
    return lock


def private_folder(folder: Path) -> Path:
    """Creates the folder with access for this user only.

    Raises:
        HomeUnusable: another user created it, or may read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise HomeUnusable(f"{folder} is not this user's alone; remove it, or set XDG_RUNTIME_DIR")
    return folder


def is_run_at_work(settings: Settings) -> bool:
    """Whether a `run`, which starts its own workers, was the last to lock the home, not a `dispatcher`."""
    lock = settings.home / "lock"
    return settings.is_broker_embedded and lock.exists() and lock.read_text() == "run"
