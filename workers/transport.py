"""Kombu's Redis transport, made to survive anything that a client can put into the broker.

A message is checked before Kombu and Celery read it, and removed and counted if this system did not send it. Keys of a
wrong type and unreadable entries are removed too: the ledger is the truth, and the dispatcher sends lost work again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty
from typing import Any, TypeVar

import kombu.transport
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as BrokerGone
from redis.exceptions import RedisError, ResponseError

from tasks.runtime.envelope import MAX_BYTES, control_message, parsed, work_message
from tasks.runtime.refusals import REFUSALS, REFUSED_KEY, Refusal, Refused
from workers.roles import QUEUE_OF_TASK, ROLES

_LOG = logging.getLogger("chorus")
_T = TypeVar("_T")

_PROBE_KEY = "chorus.probe"
_NO_EXPIRY = -1
_NO_MEMORY = (MemoryError, ValueError)
"""A reply that does not fit; the client's buffer closes when it cannot grow, and reading it on is a ValueError."""
_UNWRITABLE = ("READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN")
_TASKS = {queue: [task for task, of in QUEUE_OF_TASK.items() if of == queue] for queue in ROLES}


def install() -> None:
    """Make this the transport of redis://, rediss:// and redis+socket://. Kombu chooses by the scheme alone."""
    for alias in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[alias] = "workers.transport:Transport"
        kombu.transport._transport_cache.pop(alias, None)


class QoS(kombu_redis.QoS):  # type: ignore[misc]
    """Unacknowledged messages, also kept in the broker. What cannot be noted or read there is left to the ledger."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message. A broker that takes no more data loses only this note."""
        try:
            self.channel.repairing(partial(super().append, message, delivery_tag))
        except ResponseError as error:
            _LOG.warning("an unacknowledged message cannot be noted in the broker: %s", _code(error))
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Remove a message that is done."""
        self.channel.repairing(partial(super().ack, delivery_tag))

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  # Kombu's signature
        """Remove a message, or put it back."""
        self.channel.repairing(partial(super().reject, delivery_tag, requeue=requeue))

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Put back messages of workers that are gone, and report refused messages."""
        try:
            self.channel.report_refusals()
            self._free_mutex()
            self.channel.repairing(partial(super().restore_visible, start, num, interval))
        except ResponseError as error:
            _LOG.warning("unacknowledged messages cannot be looked up in the broker: %s", _code(error))
        except _NO_MEMORY:  # an entry's name is no delivery tag but as large as this process may become
            self._remove(self.unacked_index_key)

    def _free_mutex(self) -> None:
        """Remove a lock without an expiry, which Kombu never sets: nothing would ever be put back again."""
        with self.channel.conn_or_acquire() as client:
            if client.pttl(self.unacked_mutex_key) == _NO_EXPIRY:
                self._remove(self.unacked_mutex_key)

    def _remove(self, key: str) -> None:
        with self.channel.conn_or_acquire() as client:
            client.delete(key)
        REFUSALS.add(Refusal.ODD_KEY)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002
        """Put a noted message back into its queue. An entry that is no message of a queue is removed."""
        with self.channel.conn_or_acquire(client) as acquired:
            acquired.transaction(partial(self._put_back, tag, leftmost), self.unacked_key)

    def _put_back(self, tag: Any, leftmost: bool, pipe: Any) -> None:  # noqa: FBT001
        n_bytes = pipe.hstrlen(self.unacked_key, tag)
        noted = pipe.hget(self.unacked_key, tag) if n_bytes <= 2 * MAX_BYTES else b""
        pipe.multi()
        self._remove_from_indices(tag, pipe)
        if not n_bytes:
            return
        try:
            payload, queue = _noted_message(noted)
        except Refused:
            REFUSALS.add(Refusal.ODD_ENTRY)
        else:
            (pipe.lpush if leftmost else pipe.rpush)(queue, dumps(payload))


class Channel(kombu_redis.Channel):  # type: ignore[misc]
    """A channel that delivers only messages that this system sends."""

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        try:
            self._create_client().delete(_PROBE_KEY)
        except ResponseError as error:
            if _code(error) not in _UNWRITABLE:
                return  # such as a user who may not delete keys; the first real command tells more
            self.connection.cycle.discard(self)
            self._disconnect_pools()
            # A connection error makes workers wait with growing pauses, as for a broker that is away.
            raise BrokerGone(f"it refuses changes ({_code(error)})") from error

    def repairing(self, do: Callable[[], _T]) -> _T:
        """Return what `do` returns. If a key has a wrong type, remove it and try once more."""
        try:
            return do()
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            self._remove_odd_keys()
            return do()

    def _remove_odd_keys(self) -> None:
        """Remove the keys of this system and of Kombu that have a wrong type. Other data are not touched."""
        exchanges = list(self.state.exchanges)
        kinds = {
            **dict.fromkeys(ROLES, b"list"),
            **{self.keyprefix_queue % name: b"set" for name in exchanges},
            **{self.keyprefix_binding_permanent % name: b"set" for name in exchanges},
            self.keyprefix_binding_deadlines: b"zset",
            self.unacked_key: b"hash",
            self.unacked_index_key: b"zset",
            REFUSED_KEY: b"hash",
        }

        def remove(key: str, kind: bytes, pipe: Any) -> None:
            is_odd = pipe.type(key) not in (kind, b"none")
            pipe.multi()
            if is_odd:
                pipe.delete(key)
                REFUSALS.add(Refusal.ODD_KEY)

        with self.conn_or_acquire() as client:
            for key, kind in kinds.items():
                client.transaction(partial(remove, key, kind), key)

    def report_refusals(self) -> None:
        """Add this process's refused messages to the broker's count, which commands show."""
        for why, n in REFUSALS.take_unreported().items():
            with self.conn_or_acquire() as client:
                try:
                    self.repairing(partial(client.hincrby, REFUSED_KEY, why.name, n))
                except ResponseError:  # the field holds no number
                    client.delete(REFUSED_KEY)

    def get_table(self, exchange: str) -> list[tuple[str, ...]]:
        """The bindings of an exchange, without entries that are none."""
        return [row for row in self.repairing(partial(super().get_table, exchange)) if len(row) == 3]

    def _queue_bind(self, *args: Any) -> None:
        self.repairing(partial(super()._queue_bind, *args))

    def _size(self, queue: str) -> int:
        return int(self.repairing(partial(super()._size, queue)))

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        self.repairing(partial(super()._put, queue, message, **kwargs))

    def _brpop_read(self, **options: Any) -> bool:
        """Take one message from the broker's answer and deliver it; refuse it if this system did not send it."""
        try:
            answer = self._popped(**options)
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not answer:
            raise Empty
        queue = bytes_to_str(answer[0]).rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        try:
            raw = parsed(answer[1])
            message = work_message(raw, queue, _TASKS[queue]) if queue in _TASKS else control_message(raw, "")
        except Refused as refused:
            REFUSALS.add(refused.why)
        else:
            self._hand_over(message, queue)
        return True

    def _popped(self, **options: Any) -> Any:
        """The broker's answer: a queue and a message, or None."""
        connection = self.client.connection
        try:
            return self.client.parse_response(connection, "BRPOP", **options)
        except _NO_MEMORY:  # the limit of this process; the rest of the message goes with the connection
            connection.disconnect()
            REFUSALS.add(Refusal.TOO_LARGE)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                connection.disconnect()
                raise
            self._remove_odd_keys()
        except self.connection_errors:
            connection.disconnect()
            raise
        return None

    def _handle_message(self, client: Any, r: Any) -> dict[str, Any]:
        """A control message or an event, without its data if it is refused."""
        received: dict[str, Any] = super()._handle_message(client, r)
        if received["data"] and bytes_to_str(received["type"]).endswith("message"):
            try:
                message = control_message(parsed(received["data"]), self._exchange_of(received["channel"]))
                received["data"] = dumps(message)
            except Refused as refused:
                REFUSALS.add(refused.why)
                received["data"] = None
        return received

    @staticmethod
    def _exchange_of(channel: Any) -> str:
        """The exchange of a publish-subscribe channel such as `/0.celery.pidbox`."""
        return bytes_to_str(channel).partition(".")[2].split("/", 1)[0]

    def _receive_one(self, c: Any) -> Any:
        try:
            return super()._receive_one(c)
        except _NO_MEMORY:
            c.connection.disconnect()
            REFUSALS.add(Refusal.TOO_LARGE)
            return None

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        if exchange in self._fanout_to_queue:
            self._hand_over(message, self._fanout_to_queue[exchange])
        return True

    def _hand_over(self, message: dict[str, Any], queue: str) -> None:
        """Hand a message to its consumer. An error that is not the broker's removes the message."""
        try:
            self.connection._deliver(message, queue)
        except (RedisError, OSError):
            raise
        except Exception:  # otherwise the worker would end, or reconnect for ever
            _LOG.exception("a message could not be received")
            REFUSALS.add(Refusal.FAILED)
            tag = message["properties"]["delivery_tag"]
            with suppress(KeyError):
                self.qos.get(tag)
                self.basic_reject(tag)


class Transport(kombu_redis.Transport):  # type: ignore[misc]
    """The transport of `install`. A broker that refuses a command is waited for, as one that is away."""

    Channel = Channel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)


def _noted_message(noted: bytes) -> tuple[dict[str, Any], str]:
    """The message of an entry of the unacknowledged ones, and its queue. Raises: Refused."""
    match parsed(noted, 2 * MAX_BYTES):
        case [payload, str(), str() as queue] if queue in _TASKS:
            message = work_message(payload, queue, _TASKS[queue])
            message["headers"]["redelivered"] = message["properties"]["delivery_info"]["redelivered"] = True
            return message, queue
    raise Refused(Refusal.ODD_ENTRY)


def _code(error: ResponseError) -> str:
    """The code in the broker's answer, such as READONLY; the rest of the answer may hold a part of a message."""
    word = error.status_code or str(error).partition(" ")[0]
    return word if word.isalpha() and word.isupper() else type(error).__name__
