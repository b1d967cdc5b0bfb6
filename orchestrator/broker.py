"""The broker as the orchestrator uses it: sends messages, counts queued ones, and lists the workers that answer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.errors import BrokerUnreachable
from orchestrator.waiting import Say, wait_for
from settings import Settings

if TYPE_CHECKING:
    from celery import Celery

_LOG = logging.getLogger("chorus")


@dataclass(frozen=True)
class Doorbell:
    """A message. ids: for the worker.  spoken: a sentence for people who read the monitor."""

    ids: dict[str, Any]
    spoken: str


class Sender:
    """Puts messages into queues by task name, and counts those that wait.

    For one thread: see `_connection`.

    Raises:
        BrokerUnreachable: from every method, when the broker does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        from workers.app import make_app  # noqa: PLC0415  # Celery takes a third of a second; commands that only read skip it

        self._settings = settings
        self._app: Celery = make_app(settings.model_copy(update={"role": ""}))
        # Kept, because a new connection costs ten times the query. It is closed after an error, which would interrupt
        # another thread's query. For queries only: on a connection that Celery listens on, an answer may belong to its
        # own BRPOP.
        self._connection = self._app.connection_for_write()

    def require_broker(self) -> None:
        """Returns when the broker answers."""
        self._asked(lambda client: client.ping())

    def queued(self, queue: str) -> int:
        """The number of messages that no worker has taken yet."""
        return int(self._asked(lambda client: client.llen(queue)))

    def clock_s(self) -> float:
        """The broker's clock: seconds since 1970."""
        seconds, microseconds = self._asked(lambda client: client.time())
        return float(seconds) + float(microseconds) / 1e6

    def send(self, task: str, queue: str, messages: Sequence[Doorbell]) -> int:
        """Sends the messages one by one; returns how many the broker accepted."""
        sent = 0
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer:
                for message in messages:
                    self._app.send_task(
                        task, args=[message.ids], queue=queue, producer=producer, retry=False,
                        argsrepr=message.spoken, kwargsrepr="",
                    )  # fmt: skip
                    sent += 1
        except _BROKER_ERRORS() as error:
            _LOG.warning("broker %s: %s", self._shown, error)
        return sent

    def workers(self) -> dict[str, list[str]]:
        """The queues of each worker that answers within a second, by its name."""
        self.require_broker()
        try:
            answers = self._app.control.inspect(timeout=1.0).active_queues() or {}
        except _BROKER_ERRORS() as error:
            raise BrokerUnreachable(f"broker {self._shown} does not answer: {error}") from error
        return {name: [queue["name"] for queue in queues] for name, queues in sorted(answers.items())}

    def _asked(self, question: Callable[[Any], Any]) -> Any:
        try:
            channel: Any = self._connection.default_channel  # Redis' own has a client
            return question(channel.client)
        except _BROKER_ERRORS() as error:
            self._connection.collect()
            raise BrokerUnreachable(f"broker {self._shown} does not answer: {error}") from error

    @property
    def _shown(self) -> str:
        from kombu.utils.url import maybe_sanitize_url  # noqa: PLC0415

        return str(maybe_sanitize_url(self._settings.broker))


def _BROKER_ERRORS() -> tuple[type[BaseException], ...]:  # noqa: N802  # a constant whose imports are slow
    from kombu.exceptions import OperationalError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    return (OperationalError, RedisError, OSError)


def require_broker(settings: Settings, say: Say) -> None:
    """Returns when the broker answers; waits for it as long as the settings allow.

    Raises:
        BrokerUnreachable: with what to do about it.
    """
    if settings.is_broker_embedded and not answers(settings.socket):
        raise BrokerUnreachable(
            f"no embedded broker is running for {settings.home}; start `orchestrator run` or "
            "`orchestrator dispatcher` first, or name a Redis server with --broker-url"
        )
    wait_for(Sender(settings).require_broker, settings.wait_s, say, settings.progress_file)


def answers(path: Path) -> bool:
    """Whether a broker listens on the socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False
