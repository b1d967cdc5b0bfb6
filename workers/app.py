"""The Celery app: how messages travel. No task is defined here."""

from __future__ import annotations

import socket

from celery import Celery
from kombu import Queue

import workers.lifecycle  # noqa: F401  # connects the signals
from settings import Settings
from workers.roles import QUEUE_OF_TASK, ROLES

# A connection whose other end has gone without a word, as when a network is cut, ends within about twenty seconds.
# Without these what was sent is repeated for a quarter of an hour. Only Linux has all of them.
_GONE_IS_NOTICED = {
    getattr(socket, option): value
    for option, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}.items()
    if hasattr(socket, option)
}


def make_app(settings: Settings) -> Celery:
    """The app for these settings; a worker's knows the verbs of its role, a sender's knows only names."""
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
        task_annotations={"preprocess": {"time_limit": settings.time_limit_s}},
        imports=role.verbs if role else (),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # One value for all processes: the visibility timeout belongs to the Redis database, not to a queue.
        broker_transport_options={
            "visibility_timeout": 3600,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 2,
            "socket_timeout": 30 if role else 5,  # a person waits for a sender, nobody for a worker
            "socket_connect_timeout": 5,
            "socket_keepalive": settings.broker.startswith("redis://") or settings.broker.startswith("rediss://"),
            "socket_keepalive_options": _GONE_IS_NOTICED,
            "health_check_interval": 15,
        },
        worker_proc_alive_timeout=120,  # a spawned child imports TensorFlow before it says that it is up
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_remote_control=True,
        worker_hijack_root_logger=True,
        enable_utc=True,
    )
    if role:
        app.conf.update(role.celery)
        _forget_tasks_of_celery(app)
    return app


def _forget_tasks_of_celery(app: Celery) -> None:
    """Its own (chains, chords, groups) are of no use here, and would be carried out for whoever reaches the broker."""
    app.finalize()
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)


app = make_app(Settings())
