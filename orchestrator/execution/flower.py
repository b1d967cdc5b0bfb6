"""The Flower monitor: read-only, bounded in memory, protected by a password."""

from __future__ import annotations

import sys
from pathlib import Path

from settings import Settings

USER = "chorus"
_MOST_TASKS = 10_000
_SAVED_EVERY_MS = 10_000


def flower_command(port: int, address: str, state: Path | None) -> list[str]:
    """Flower's command line.

    address: the address to listen on.  state: a file that keeps the task history over restarts.
    """
    kept = [f"--db={state}", "--persistent=True", f"--state_save_interval={_SAVED_EVERY_MS}"] if state else []
    return [
        sys.executable, "-m", "celery", "--app", "workers.app", "flower", f"--address={address}", f"--port={port}",
        "--read_only=True", f"--max_tasks={_MOST_TASKS}", "--max_workers=1000", "--purge_offline_workers=3600",
        "--tasks_columns=name,args,state,exception,worker,received,runtime", *kept,
    ]  # fmt: skip


def flower_environment(settings: Settings, password: str) -> dict[str, str]:
    """Flower's environment. It holds the password, because every user of a machine can read command lines."""
    return {**settings.environment(), "FLOWER_BASIC_AUTH": f"{USER}:{password}"}
