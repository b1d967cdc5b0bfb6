"""The start and end of worker processes: what is loaded before the fork, and which processes end together."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from celery.signals import (
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker import state

from db.engine import Database
from db.ledger import feeding
from db.ledger.presence import deregister, register
from domain.states import ITEM_TASKS
from settings import Settings
from tasks.runtime import liveness
from workers import limits
from workers.roles import ROLES, device, warnings

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded once, here, because between fork and exec no library may be loaded
# Modules that the tasks need, loaded where it is cheapest: the children of a cpu worker share their parent's memory;
# TensorFlow does not survive a fork, so the gpu worker's new child loads it, before its job arrives.
_BEFORE_FORK = {"cpu": ("tasks.audio.strip", "tasks.dataset.shards.shard")}
_IN_CHILD = {"gpu": ("tasks.model.training.classifier", "tasks.model.prediction")}


@cache
def _settings() -> Settings:
    """The settings, read once per process: reading them for every message would take too long."""
    return Settings()


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends for any reason (Linux only)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with(parent: int) -> None:
    """As `die_with_parent`, for a parent that may have ended already."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)


@worker_init.connect
def _load_before_fork(**_: Any) -> None:
    _load(_BEFORE_FORK)
    if _settings().role == "cpu":
        importlib.import_module("tasks.audio.strip").warm()  # compiles the kernels once for all children


@worker_ready.connect
def _warn(**_: Any) -> None:
    settings = _settings()
    for sentence in warnings(ROLES[settings.role], settings):
        logging.getLogger("chorus").warning("%s", sentence)


@worker_ready.connect
def _limit_parent(**_: Any) -> None:
    if _settings().role == "cpu":  # spawned children of a gpu worker would keep it: `_begin_child` does not reach them
        limits.limit_parent()


@worker_ready.connect
@task_prerun.connect
@task_postrun.connect
def _note_progress(**_: Any) -> None:
    liveness.touch(_settings().progress_file)


@worker_ready.connect
def _end_when_idle(**_: Any) -> None:
    idle_exit_s = _settings().idle_exit_s
    if idle_exit_s:
        threading.Thread(target=_watch_idleness, args=(idle_exit_s,), name="idleness", daemon=True).start()


def _watch_idleness(idle_exit_s: float) -> None:
    busy_at_s = time.monotonic()
    while time.monotonic() - busy_at_s < idle_exit_s:
        if state.reserved_requests or state.active_requests:
            busy_at_s = time.monotonic()
        time.sleep(min(1.0, idle_exit_s / 4))
    logging.getLogger("chorus").warning("nothing to do for %g s: this worker ends", idle_exit_s)
    os.kill(os.getpid(), signal.SIGTERM)


@worker_shutting_down.connect
def _limit_shutdown(how: str, **_: Any) -> None:
    """Limit the warm shutdown, in which a worker takes no new message and finishes its work, to `shutdown_s` seconds.

    Celery's own soft shutdown always waits for its full time, and the worker does not answer meanwhile.
    """
    if how == "Warm":
        timer = threading.Timer(_settings().shutdown_s, os.kill, (os.getpid(), signal.SIGQUIT))
        timer.daemon = True
        timer.start()


@worker_ready.connect
def _register(sender: Any, **_: Any) -> None:
    _write_to_ledger(
        lambda database, settings: register(
            database, sender.hostname, socket.gethostname(), settings.role, device(settings)
        )
    )


@worker_shutdown.connect
def _release_and_deregister(sender: Any, **_: Any) -> None:
    """Put unfinished work back at once; otherwise it would wait until its lease expires."""
    _write_to_ledger(lambda database, _: feeding.release(database, sender.hostname, is_orderly=True))
    _write_to_ledger(lambda database, _: deregister(database, sender.hostname))


def _write_to_ledger(write: Callable[[Database, Settings], object]) -> None:
    """Write to the ledger from the parent, whose children must not inherit a connection.

    An unreachable ledger is only logged: the worker works without this record.
    """
    settings = _settings()
    database = Database(settings.database, keeps_connections=False)
    try:
        write(database, settings)
    except ConnectionError as error:
        logging.getLogger("chorus").warning("%s", error)
    finally:
        database.close()


@worker_process_init.connect
def _begin_child(**_: Any) -> None:
    die_with_parent()
    limits.lift_parent_limit()
    gc.freeze()  # the collector never touches what was loaded before the fork, so its pages stay shared
    settings = _settings()
    limits.disable_core_dumps()
    if settings.role == "cpu":
        limits.limit_child(settings.child_memory_mb << 20)
    _load(_IN_CHILD)


@task_prerun.connect
def _limit_message(task: Any, **_: Any) -> None:
    settings = _settings()
    if settings.role == "cpu":
        limits.limit_processor_time(settings.time_limit_s if task.name in ITEM_TASKS.values() else None)


def _load(modules: Mapping[str, tuple[str, ...]]) -> None:
    for module in modules.get(_settings().role, ()):
        importlib.import_module(module)
