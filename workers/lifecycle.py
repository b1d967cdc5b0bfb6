"""From start to end of a worker process: what is loaded before the fork, and who dies with whom."""

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
from settings import Settings
from tasks.runtime import liveness
from workers import limits
from workers.roles import ROLES, device, warnings

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded once, here: between fork and exec no library may be
# What the verbs need, loaded where it costs least: a cpu worker's children share their parent's, while TensorFlow
# survives no fork and is loaded in the gpu worker's fresh child, before its job comes.
_BEFORE_FORK = {"cpu": ("tasks.audio.strip", "tasks.dataset.shards.shard")}
_IN_CHILD = {"gpu": ("tasks.model.training.classifier", "tasks.model.prediction")}


@cache
def _settings() -> Settings:
    """Read once a process: a message is too short to read them for each."""
    return Settings()


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
    if _settings().role == "cpu":
        importlib.import_module("tasks.audio.strip").warm()  # compiled once, for all children


@worker_ready.connect
def _warn(**_: Any) -> None:
    settings = _settings()
    for sentence in warnings(ROLES[settings.role], settings):
        logging.getLogger("chorus").warning("%s", sentence)


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
    """Asked to end, a worker takes nothing new and finishes what it does; after `shutdown_s` seconds it ends that too.

    Celery's own soft shutdown always takes all of its time, and answers nothing meanwhile.
    """
    if how == "Warm":
        timer = threading.Timer(_settings().shutdown_s, os.kill, (os.getpid(), signal.SIGQUIT))
        timer.daemon = True
        timer.start()


@worker_ready.connect
def _register(sender: Any, **_: Any) -> None:
    _tell_ledger(
        lambda database, settings: register(
            database, sender.hostname, socket.gethostname(), settings.role, device(settings)
        )
    )


@worker_shutdown.connect
def _leave(sender: Any, **_: Any) -> None:
    """Whatever was not finished waits again at once, and not when its lease runs out."""
    _tell_ledger(lambda database, _: feeding.release(database, sender.hostname, is_orderly=True))
    _tell_ledger(lambda database, _: deregister(database, sender.hostname))


def _tell_ledger(write: Callable[[Database, Settings], object]) -> None:
    """From the parent, whose children must inherit no connection; a ledger that is away is no reason not to work."""
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
    gc.freeze()  # nobody walks through what was loaded before the fork: its pages stay shared
    settings = _settings()
    limits.leave_no_core_dump()
    if settings.role == "cpu":
        limits.limit_child(settings.child_memory_mb << 20)
    _load(_IN_CHILD)


@task_prerun.connect
def _limit_message(task: Any, **_: Any) -> None:
    settings = _settings()
    if settings.role == "cpu":
        limits.limit_processor_time(settings.time_limit_s if task.name == "preprocess" else None)


def _load(modules: Mapping[str, tuple[str, ...]]) -> None:
    for module in modules.get(_settings().role, ()):
        importlib.import_module(module)
