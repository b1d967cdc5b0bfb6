"""Output of commands: text for people on stderr, for programs on stdout; and exit codes."""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from domain.errors import ChorusError
from domain.printable import printable, printable_json

if TYPE_CHECKING:
    from orchestrator.cli.terminal import ProgressView
    from orchestrator.session import Session
    from settings import Settings

OK, FAILED, USAGE, SOME_QUARANTINED, UNREACHABLE, INTERRUPTED, CLOSED_OUTPUT = 0, 1, 2, 3, 4, 130, 141
_REPORTED_EVERY_S = 5.0


class OutputClosed(ChorusError):
    """The reader of stdout or stderr has ended, as `head` does. The exit code is the shell's for SIGPIPE."""

    exit_code = CLOSED_OUTPUT


class OutputFailed(ChorusError):
    """Stdout cannot be written: its disk is full, for example."""


@contextmanager
def writing() -> Iterator[None]:
    """Name errors of stdout and stderr, which are otherwise like those of the ledger's files.

    Raises:
        OutputClosed: its reader has ended.
        OutputFailed: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise OutputClosed("the reader of the output has ended") from error
        raise OutputFailed(f"the output cannot be written: {error.strerror}") from error


def open_streams() -> None:
    """Open streams that the caller has closed (`>&-`) on the null device.

    A file of the ledger would get the number of a closed stream, and text would be written into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    # Names that are not UTF-8 have lone surrogates; `printable` escapes them in text, this does in all else.
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115


def drop_output() -> None:
    """Send what is still buffered for stdout and stderr to the null device: the interpreter flushes both at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(null, number)


def say(text: str) -> None:
    """Print a line for people."""
    with writing():
        print(printable(text), file=sys.stderr)


def show(lines: Iterable[str]) -> None:
    """Print lines on stdout: what the command was asked for."""
    with writing():
        print("\n".join(map(printable, lines)))


def planning_reporter() -> Callable[[int], None]:
    """Return a callback that prints the number of recordings read so far, every five seconds."""
    reported_at_s = time.monotonic()

    def report(n_rows: int) -> None:
        nonlocal reported_at_s
        if time.monotonic() - reported_at_s >= _REPORTED_EVERY_S:
            reported_at_s = time.monotonic()
            say(f"planning: {n_rows:,} recordings")

    return report


def open_session(settings: Settings, *, make: bool = True) -> Session:
    """Open ledger and store; print their location."""
    from orchestrator import session  # noqa: PLC0415

    say(f"home {settings.home}" if not settings.database_url else "database and store as configured")
    found = session.open_session(settings, make=make, say=say)
    warn_if_open_to_others(settings)
    return found


def warn_if_open_to_others(settings: Settings) -> None:
    """Warn if users other than the owner may read the home."""
    from orchestrator import home  # noqa: PLC0415

    if not settings.database_url and (mode := home.mode_open_to_others(settings.home)):
        say(f"home {settings.home} is open to others (mode {mode}); `chmod 700 {settings.home}` closes it")


def view() -> ProgressView:
    """A progress view on stderr."""
    from rich.console import Console  # noqa: PLC0415

    from orchestrator.cli.terminal import ProgressView  # noqa: PLC0415

    return ProgressView(Console(stderr=True))


def print_json(values: Any) -> None:
    """Print the one object of `--json`."""
    with writing():
        print(printable_json(json.dumps(values, ensure_ascii=False, default=str)))
