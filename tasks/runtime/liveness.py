"""Time of a process's last progress, stored as the modification time of a file, for health checks of containers."""

from __future__ import annotations

import time
from pathlib import Path


def touch(file: Path | None) -> None:
    """Record progress: work began, finished, or continues. Without a file, do nothing."""
    if file is not None:
        file.touch()


def age_s(file: Path) -> float | None:
    """Seconds since the last sign of progress; None before the first one."""
    try:
        return max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None


def report_stall(file: Path | None, sentence: str) -> None:
    """Record that work in this process makes no progress; repeated as long as that lasts."""
    if file is not None:
        _stall_file(file).write_text(sentence)


def recent_stall(file: Path, within_s: float) -> str | None:
    """The stall that was recorded in the last `within_s` seconds; None if there was none."""
    stall = _stall_file(file)
    age = age_s(stall)
    return stall.read_text() if age is not None and age <= within_s else None


def _stall_file(file: Path) -> Path:
    return file.with_name(f"{file.name}-stalled")
