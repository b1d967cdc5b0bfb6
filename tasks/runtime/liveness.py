"""A process's last sign of progress: the time of a file, for health checks of its container."""

from __future__ import annotations

import time
from pathlib import Path


def touch(file: Path | None) -> None:
    """Something was begun, finished, or is known to go on; without a file nothing is noted."""
    if file is not None:
        file.touch()


def age_s(file: Path) -> float | None:
    """Seconds since the last sign; None before the first one."""
    try:
        return max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None


def complain(file: Path | None, sentence: str) -> None:
    """Something at work here does not go on, whatever else does; said again for as long as that lasts."""
    if file is not None:
        _complaint(file).write_text(sentence)


def complaint(file: Path, within_s: float) -> str | None:
    """What was said so in the last `within_s` seconds; None where nothing was."""
    said = _complaint(file)
    age = age_s(said)
    return said.read_text() if age is not None and age <= within_s else None


def _complaint(file: Path) -> Path:
    return file.with_name(f"{file.name}-stalled")
