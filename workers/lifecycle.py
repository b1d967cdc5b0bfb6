"""From start to end of a worker process: what is loaded before the fork, and who dies with whom."""

from __future__ import annotations

import ctypes
import importlib
import logging
import os
import signal
from collections.abc import Mapping
from typing import Any

from celery.signals import task_prerun, worker_init, worker_process_init, worker_ready

from settings import Settings
from workers import limits
from workers.roles import ROLES, warnings

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded once, here: between fork and exec no library may be
# What the verbs need, loaded where it costs least: a cpu worker's children share their parent's, while TensorFlow
# survives no fork and is loaded in the gpu worker's fresh child, before its job comes.
_BEFORE_FORK = {"cpu": ("tasks.audio.strip", "tasks.dataset.shard")}
_IN_CHILD = {"gpu": ("tasks.model.training", "tasks.model.prediction")}


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
    _load(_BEFORE_FORK)
    if Settings().role == "cpu":
        importlib.import_module("tasks.audio.strip").warm()  # compiled once, for all children


@worker_ready.connect
def _warn(**_: Any) -> None:
    settings = Settings()
    for sentence in warnings(ROLES[settings.role], settings):
        logging.getLogger("chorus").warning("%s", sentence)


@worker_process_init.connect
def _begin_child(**_: Any) -> None:
    die_with_parent()
    settings = Settings()
    limits.leave_no_core_dump()
    if settings.role == "cpu":
        limits.limit_child(settings.child_memory_mb << 20)
    _load(_IN_CHILD)


@task_prerun.connect
def _limit_message(task: Any, **_: Any) -> None:
    settings = Settings()
    if settings.role == "cpu":
        limits.limit_processor_time(settings.time_limit_s if task.name == "preprocess" else None)


def _load(modules: Mapping[str, tuple[str, ...]]) -> None:
    for module in modules.get(Settings().role, ()):
        importlib.import_module(module)
