"""The Celery app: the configuration of messages, queues and connections. No task is defined here."""

from __future__ import annotations

import socket

from celery import Celery
from kombu import Queue

import workers.lifecycle  # noqa: F401  # connects the signals
from domain.logs import escape_control_characters
from domain.states import ITEM_TASKS
from settings import Settings
from workers import transport
from workers.roles import QUEUE_OF_TASK, ROLES

# A connection whose other end is gone without closing it, as after a network cut, ends within about twenty seconds.
# Without these options the kernel resends for a quarter of an hour. Only Linux has all of them.
_KEEPALIVE_OPTIONS = {
    getattr(socket, option): value
    for option, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}.items()
    if hasattr(socket, option)
}


def make_app(settings: Settings) -> Celery:
    """Make the app for these settings. A worker's knows the tasks of its role, a sender's only their names."""
    transport.install()
    escape_control_characters()
    app = Celery("dawn-chorus", broker=settings.broker, set_as_current=bool(settings.role))
    role = ROLES.get(settings.role)
    app.conf.update(
        result_backend=None,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        task_queues=[Queue(name) for name in ROLES],
        task_routes={task: {"queue": queue} for task, queue in QUEUE_OF_TASK.items()},
        task_create_missing_queues=False,
        task_annotations={task: {"time_limit": settings.time_limit_s} for task in ITEM_TASKS.values()},
        imports=role.verbs if role else (),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # One value for all processes: the visibility timeout belongs to the Redis database, not to a queue.
        broker_transport_options={
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 2,
            "unacked_restore_limit": 1000,  # a sweep reads at most so many entries at once
            "priority_steps": [0],  # no other lists than the queues themselves
            "socket_timeout": 30 if role else 5,  # a user waits for a sender, but not for a worker
            "socket_connect_timeout": 5,
            "socket_keepalive": settings.broker.startswith("redis://") or settings.broker.startswith("rediss://"),
            "socket_keepalive_options": _KEEPALIVE_OPTIONS,
            "health_check_interval": 15,
        },
        worker_proc_alive_timeout=120,  # a spawned child imports TensorFlow before it reports that it is ready
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=True,
        enable_utc=True,
    )
    if role:
        app.conf.update(role.celery)
        _unregister_builtin_tasks(app)
        _disable_commands()
    return app


def _unregister_builtin_tasks(app: Celery) -> None:
    """Remove Celery's own tasks (chains, chords, groups).

    They are unused, and any client of the broker could run them.
    """
    app.finalize()
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)


def _disable_commands() -> None:
    """Remove control commands that change limits or stop tasks.

    The settings hold the limits and the ledger cancels work. With such a command, any client of the broker could have
    good recordings counted as faults.
    """
    from celery.worker.control import Panel  # noqa: PLC0415  # a sender has no use for it

    for name in ("time_limit", "rate_limit", "terminate", "revoke", "revoke_by_stamped_headers"):
        Panel.data.pop(name, None)


app = make_app(Settings())
