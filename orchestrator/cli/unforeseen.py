"""An error that this code does not foresee: a sentence for the user, and a log file with the traceback."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from domain.urls import without_secrets

if TYPE_CHECKING:
    from settings import Settings

_LONGEST_CAUSE = 200


def known_secrets(settings: Settings | None) -> list[str]:
    """The secrets of the settings; none if the command has no settings, or they name a file that cannot be read."""
    try:
        return settings.secrets if settings else []
    except (ValueError, OSError):
        return []


def unforeseen_sentence(error: BaseException, settings: Settings | None) -> str:
    """Write the error's traceback to a log file; return the sentence that names the file.

    settings: of the command, None if it has none. Their secrets are masked in both.
    """
    from importlib.metadata import version  # noqa: PLC0415  # a sixth of the start of the command line

    secrets = known_secrets(settings)
    lines = (str(error).strip() or "no message").splitlines()
    cause = without_secrets(f"{type(error).__name__}: {lines[0][:_LONGEST_CAUSE]}", secrets)
    head = [
        f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC, dawn-chorus {version('dawn-chorus')}, "
        f"Python {platform.python_version()} on {platform.platform()}",
        shlex.join(sys.argv),
        "",
    ]
    text = without_secrets("\n".join(head) + "\n" + "".join(traceback.format_exception(error)), secrets)
    folders = [Path(tempfile.gettempdir())] if settings is None else [settings.logs, Path(tempfile.gettempdir())]
    for folder in folders:
        if (file := _log_file(folder, text)) is not None:
            return f"an error that was not foreseen, {cause}; please report it with the log {file}"
    return f"an error that was not foreseen, {cause}; no log could be written to {folders[0]}"


def _log_file(folder: Path, text: str) -> Path | None:
    """A new file with the text, readable by its owner only; None if the folder cannot be written."""
    file = folder / f"error-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}.log"
    try:
        if folder.name == "logs" and folder.parent.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
        # Exclusive: in a temporary folder, another user may have made a link of this name.
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
    except OSError:
        return None
    return file
