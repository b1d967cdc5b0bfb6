"""The home folder: its permissions, and the lock that allows one command at a time to work in it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

from domain.errors import HomeUnusable
from settings import Settings, file_identity


def has_ledger(settings: Settings) -> bool:
    """Whether there is a ledger that a dry run can read; one named by a URL is taken to be there."""
    return bool(settings.database_url) or (settings.home / "ledger.sqlite").exists()


def require_home(settings: Settings, *, make: bool = True) -> None:
    """Check that the home exists and can be written, unless the ledger is named by a URL.

    make: creates a missing home, with access for its owner only. An existing home keeps its mode, because others may
    be meant to read it: see `mode_open_to_others`.

    Raises:
        HomeUnusable: with what to do about it.
    """
    home = settings.home
    if settings.database_url:
        if make:
            with suppress(OSError):  # the home may never be used; the first write to it reports the error
                home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    if not make:
        _require_ledger(home)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HomeUnusable(
            f"home {home} cannot be written: {error.strerror}; choose another one with --home"
        ) from error


def require_readable(settings: Settings) -> None:
    """Check that the home holds a ledger that can be read, unless the ledger is named by a URL; change nothing.

    Raises:
        HomeUnusable: with what to do about it.
    """
    home = settings.home
    if settings.database_url:
        return
    _require_ledger(home)
    if not os.access(home, os.W_OK) and not (home / "ledger.sqlite-shm").exists():
        raise HomeUnusable(
            f"home {home} cannot be written, and SQLite reads a ledger only if it can make ledger.sqlite-wal and "
            "ledger.sqlite-shm beside it; ask its owner for permission, or read a copy of the home"
        )


def _require_ledger(home: Path) -> None:
    if not (home / "ledger.sqlite").exists():
        raise HomeUnusable(
            f"there is no ledger in {home} yet; `orchestrator run PATH` makes one, or name another --home"
        )


def mode_open_to_others(home: Path) -> str:
    """Return the home's mode, such as `755`, if users other than the owner may read it; else "".

    Ledger and store hold the names of recordists and the places of recordings.
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
        sentence = "submit work to a dispatcher with `orchestrator submit`; otherwise wait, or choose another --home"
        raise HomeUnusable(f"another `run` or `dispatcher` is running in {home}; {sentence}") from error
    lock.truncate(0)
    return lock


def runtime_folder(settings: Settings) -> Path:
    """Create the private folder of the broker's socket and record it in the home; the recorded one is kept if possible.

    Call it with the home's lock held: no other process chooses at the same time. After a reboot the folder is gone and
    is made again.

    Raises:
        HomeUnusable: no place can hold the folder, or the home cannot be written.
    """
    refusals = []
    for place in dict.fromkeys([settings.runtime_folder, *settings.runtime_folders]):
        try:
            folder = private_folder(place)
        except OSError as error:
            refusals.append(f"{place}: {error.strerror}")
        except HomeUnusable as error:
            refusals.append(str(error))
        else:
            _record_runtime_folder(settings, folder)
            return folder
    raise HomeUnusable(f"no folder for the broker's socket can be made: {'; '.join(refusals)}")


def _record_runtime_folder(settings: Settings, folder: Path) -> None:
    device, inode = file_identity(settings.home)
    record = json.dumps({"folder": str(folder), "device": device, "inode": inode})
    path = settings.runtime_record
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        if not path.exists() or path.read_text() != record:
            unfinished.write_text(record)
            unfinished.replace(path)
    except OSError as error:
        raise HomeUnusable(f"home {settings.home} cannot be written: {error.strerror}") from error


def private_folder(folder: Path) -> Path:
    """Create the folder with access for this user only.

    Raises:
        HomeUnusable: another user created it, or may read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(folder):
        raise HomeUnusable(f"{folder} is not this user's alone; remove it, or set XDG_RUNTIME_DIR")
    return folder


def is_private(folder: Path) -> bool:
    """Whether the folder belongs to this user and no other may enter it.

    Raises:
        OSError: the folder does not exist.
    """
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def is_run_command_active(settings: Settings) -> bool:
    """Whether a `run` command, which starts its own workers, was the last to lock the home, not a `dispatcher`."""
    lock = settings.home / "lock"
    return settings.is_broker_embedded and lock.exists() and lock.read_text() == "run"
