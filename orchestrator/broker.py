"""The broker as the orchestrator uses it: sends messages, counts queued ones, and lists the workers that answer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from domain.errors import BrokerUnreachable
from domain.urls import shown
from orchestrator.home import is_private
from orchestrator.waiting import Say, wait_for
from settings import Settings
from tasks.runtime.refusals import REFUSED_KEY, Refusal

if TYPE_CHECKING:
    from celery import Celery

_LOG = logging.getLogger("chorus")
_LONGEST_COUNT = 19  # digits of a number that the broker can count to


@dataclass(frozen=True)
class QueueMessage:
    """A message for a queue. ids: its body, read by the worker.  description: shown in the monitor."""

    ids: dict[str, Any]
    description: str


class Sender:
    """Sends messages to queues by task name, and counts queued messages.

    Use it as a context, which closes its connection at the end, and in one thread only: see `_connection`.

    Raises:
        BrokerUnreachable: from every method but `send`, when the broker does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        from workers.app import make_app  # noqa: PLC0415  # Celery takes a third of a second; commands that only read skip it

        self._settings = settings
        self._app: Celery = make_app(settings.model_copy(update={"role": ""}))
        # Kept, because a new connection costs ten times the query. It is closed after an error, which would interrupt
        # another thread's query. Celery must not listen on it: an answer could then belong to Celery's own BRPOP.
        self._connection = self._app.connection_for_write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.release()

    def require_broker(self) -> None:
        """Return when the broker answers."""
        self._query(lambda client: client.ping())

    def queued(self, queue: str) -> int:
        """The number of messages that no worker has taken yet."""
        return int(self._query(lambda client: client.llen(queue)))

    def clock_s(self) -> float:
        """The broker's clock: seconds since 1970."""
        seconds, microseconds = self._query(lambda client: client.time())
        return float(seconds) + float(microseconds) / 1e6

    def refused(self) -> dict[str, int]:
        """How many messages workers have refused and removed since the broker was last emptied, by reason."""
        counts = self._query(lambda client: client.hmget(REFUSED_KEY, [why.name for why in Refusal]))
        found = {why.value: n for why, n in zip(Refusal, counts, strict=True) if n is not None}
        return {why: int(n) for why, n in found.items() if len(n) < _LONGEST_COUNT and n.isdigit()}

    def forget_refused(self) -> None:
        """Set these counts back to zero."""
        self._query(lambda client: client.delete(REFUSED_KEY))

    def send(self, task: str, queue: str, messages: Sequence[QueueMessage]) -> int:
        """Send the messages one by one; return how many the broker accepted."""
        sent = 0
        try:
            with self._channel() as channel:
                producer = self._app.amqp.Producer(channel)
                for message in messages:
                    self._app.send_task(
                        task, args=[message.ids], queue=queue, producer=producer, retry=False,
                        argsrepr=message.description, kwargsrepr="",
                    )  # fmt: skip
                    sent += 1
        except BrokerUnreachable as error:
            _LOG.warning("%s", error)
        return sent

    def workers(self) -> dict[str, list[str]]:
        """The queues of each worker that answers within a second, by its name."""
        self.require_broker()
        control: Any = self._app.control
        control.mailbox.producer_pool = None  # a pool would keep connections of its own open
        try:
            with self._app.connection_for_write() as listening:
                answers = control.inspect(timeout=1.0, connection=listening).active_queues() or {}
        except _BROKER_ERRORS() as error:
            raise self._unreachable(error) from error
        return dict(sorted(_readable(answers)))

    def _query(self, query: Callable[[Any], Any]) -> Any:
        with self._channel() as channel:
            return channel.repairing(lambda: query(channel.client))

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        """The connection's channel. Its type is not Kombu's, because only Redis' channel has a client."""
        try:
            yield self._connection.default_channel
        except _BROKER_ERRORS() as error:
            self._connection.collect()
            raise self._unreachable(error) from error

    def _unreachable(self, error: BaseException) -> BrokerUnreachable:
        return BrokerUnreachable(f"broker {shown(self._settings.broker)} does not answer: {error}")


def _readable(answers: object) -> Iterator[tuple[str, list[str]]]:
    """Workers and their queues; an answer that no worker gives is left out, because any client can send one."""
    for name, queues in answers.items() if isinstance(answers, dict) else ():
        if isinstance(queues, list) and name.isprintable():
            names = [queue.get("name") for queue in queues if isinstance(queue, dict)]
            yield name, [queue for queue in names if isinstance(queue, str) and queue.isprintable()]


def _BROKER_ERRORS() -> tuple[type[BaseException], ...]:  # noqa: N802  # a constant whose imports are slow
    from kombu.exceptions import OperationalError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    return (OperationalError, RedisError, OSError)


def require_broker(settings: Settings, say: Say) -> None:
    """Return when the broker answers; wait for it as long as the settings allow.

    Raises:
        BrokerUnreachable: with what to do about it.
    """
    if settings.is_broker_embedded and not answers(settings.socket):
        raise BrokerUnreachable(
            f"no embedded broker is running for {settings.home}; start `orchestrator run` or "
            "`orchestrator dispatcher` first, or name a Redis server with --broker-url"
        )
    with Sender(settings) as sender:
        wait_for(sender.require_broker, settings.wait_s, say, settings.progress_file)


def answers(path: Path) -> bool:
    """Whether this user's broker listens on the socket. A socket in a folder of another user is not connected to."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            if not is_private(path.parent):
                return False
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False
