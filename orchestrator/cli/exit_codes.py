"""Run a command, and turn the error that ended it into a sentence and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from domain.urls import without_secrets
from orchestrator.cli.options import SETTINGS
from orchestrator.cli.output import (
    CLOSED_OUTPUT,
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    OutputClosed,
    OutputFailed,
    drop_output,
    open_streams,
    print_json,
    say,
    writing,
)
from orchestrator.cli.unforeseen import known_secrets, unforeseen_sentence


def exit_code(app: Callable[..., object]) -> int:
    """Run the command that the words name; its error becomes one sentence on stderr.

    app: the typer application.
    """
    open_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM acts like Ctrl-C
    try:
        code = _code_of(app)
        with writing():
            sys.stdout.flush()
    except (OutputClosed, OutputFailed) as error:
        code = error.exit_code
        with suppress(OutputClosed, OutputFailed):  # stderr may be the stream that failed
            if code != CLOSED_OUTPUT:
                say(f"orchestrator: {error}")
        drop_output()
    return code


def _code_of(app: Callable[..., object]) -> int:
    """Run the command; return its exit code.

    Raises:
        OutputClosed, OutputFailed: stdout or stderr takes no more.
    """
    from domain.errors import ChorusError, Damaged  # noqa: PLC0415

    try:
        ended = app(standalone_mode=False)  # the exit code, or what the command returned
        return ended if isinstance(ended, int) else OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except (OutputClosed, OutputFailed):
        raise
    except BrokenPipeError as error:  # click prints the help by itself
        raise OutputClosed("the reader of the output has ended") from error
    except (ChorusError, OSError) as error:
        text = f"{error}; {error.remedy}" if isinstance(error, Damaged) else str(error)
        return _fail(text, getattr(error, "exit_code", FAILED))
    except Exception as error:
        if (show_usage := getattr(error, "show", None)) is not None:  # a usage error of click
            with writing():
                show_usage()
            return int(getattr(error, "exit_code", USAGE))
        return _fail(unforeseen_sentence(error, SETTINGS.get()), FAILED)


def _fail(text: str, code: int) -> int:
    text = without_secrets(text, known_secrets(SETTINGS.get()))
    say(f"orchestrator: {text}")
    if "--json" in sys.argv:
        print_json({"error": text, "exit_code": code})
    return code
