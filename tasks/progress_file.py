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
