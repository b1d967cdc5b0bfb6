"""From start to end of a worker process: what is loaded before the fork, and who dies with whom."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
from typing import Any

from celery.signals import worker_init, worker_process_init

from settings import Settings

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded once, here: between fork and exec no library may be
_LOADED_BEFORE_FORK = ("tasks.audio.strip", "tasks.dataset.shard")


def die_with_parent() -> None:
    """The kernel kills this process when its parent is gone, however the parent ended (Linux only)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with(parent: int) -> None:
    """`die_with_parent`, for a parent that may already be gone by now."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


@worker_init.connect
def _load_before_fork(**_: Any) -> None:
    """Children share what the parent of a cpu worker has imported: they start at once and cost little memory."""
    if Settings().role == "cpu":
        for module in _LOADED_BEFORE_FORK:
            importlib.import_module(module)


@worker_process_init.connect
def _begin_child(**_: Any) -> None:
    die_with_parent()
