"""Output of commands: text for people on stderr, for programs on stdout; and exit codes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.cli.terminal import ProgressView
    from orchestrator.session import Session
    from settings import Settings

OK, FAILED, USAGE, SOME_QUARANTINED, OUT_OF_REACH, INTERRUPTED = 0, 1, 2, 3, 4, 130
_SAID_EVERY_S = 5.0


def say(text: str) -> None:
    """Prints a line for people."""
    print(text, file=sys.stderr)


def report_planning() -> Callable[[int], None]:
    """A function that prints, every few seconds, how many recordings were read."""
    said_s = time.monotonic()

    def tell(n_rows: int) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= _SAID_EVERY_S:
            said_s = time.monotonic()
            say(f"planning: {n_rows:,} recordings")

    return tell


def opened(settings: Settings, *, make: bool = True) -> Session:
    """Opens ledger and store; prints where they are."""
    from orchestrator import session  # noqa: PLC0415

    say(f"home {settings.home}" if not settings.database_url else "database and store as configured")
    found = session.opened(settings, make=make, say=say)
    warn_of_readers(settings)
    return found


def warn_of_readers(settings: Settings) -> None:
    """Warns of a home that others than its owner may read."""
    from orchestrator import home  # noqa: PLC0415

    if not settings.database_url and (mode := home.seen_by_others(settings.home)):
        say(f"home {settings.home} is open to others (mode {mode}); `chmod 700 {settings.home}` closes it")


def view() -> ProgressView:
    """A progress view on stderr."""
    from rich.console import Console  # noqa: PLC0415

    from orchestrator.cli.terminal import ProgressView  # noqa: PLC0415

    return ProgressView(Console(stderr=True))


def print_json(values: Any) -> None:
    """Prints the one object of `--json`."""
    print(json.dumps(values, ensure_ascii=False, default=str))
