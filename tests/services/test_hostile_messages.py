"""What any client can put into the broker: refused, counted and removed by a channel in this process."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import redis
from kombu import Queue
from kombu.exceptions import OperationalError

from domain.errors import BrokerUnreachable
from orchestrator.broker import QueueMessage, Sender
from settings import Settings
from tasks.runtime.messages import ItemsMessage
from tasks.runtime.refusals import REFUSALS, REFUSED_KEY, Refusal
from tests import hostile_messages, servers
from tests.hostile_messages import ID, message, raw
from workers import limits
from workers.app import make_app

IDS = ItemsMessage(3, (1, 2)).to_dict()


class Receiver:
    """A connection that takes messages of the queue cpu and acknowledges them."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(broker_url=url)
        self.received: list[Any] = []
        self.client = redis.Redis(unix_socket_path=url.removeprefix("redis+socket://").partition("?")[0])
        self.connection = make_app(self.settings).connection_for_read()
        self.channel = self.connection.channel()
        self.consumer = self.connection.Consumer(
            [Queue("cpu")], channel=self.channel, callbacks=[self._take], accept=["json"]
        )
        self.consumer.consume()

    def _take(self, body: Any, taken: Any) -> None:
        self.received.append(body)
        taken.ack()

    def drain(self) -> None:
        """Takes messages until none is left."""
        with suppress(socket.timeout):
            while True:
                self.connection.drain_events(timeout=0.3 if not self.client.exists("cpu") else 5)

    def refused(self) -> dict[str, int]:
        self.channel.report_refusals()
        with Sender(self.settings) as sender:
            return sender.refused()


@pytest.fixture
def receiver(redis_url: str) -> Iterator[Receiver]:
    REFUSALS.take_unreported()  # of an earlier test
    receiver = Receiver(redis_url)
    yield receiver
    receiver.connection.release()


def test_hostile_messages_are_removed_and_counted_and_the_good_ones_among_them_arrive(receiver: Receiver) -> None:
    hostile = {name: one for name, one in hostile_messages.hostile(IDS).items() if name != "text for ids"}
    for content in hostile.values():
        receiver.client.lpush("cpu", content, raw(message(IDS)))
    receiver.drain()
    assert len(receiver.received) == len(hostile)
    assert sum(receiver.refused().values()) == len(hostile)
    assert not receiver.client.exists("cpu", "unacked", "unacked_index")


def test_a_thousand_messages_changed_at_random_leave_nothing_behind(receiver: Receiver) -> None:
    contents = list(hostile_messages.fuzzed(message(IDS), 1000, Random(11)))
    receiver.client.lpush("cpu", *contents)
    receiver.drain()
    assert len(receiver.received) + sum(receiver.refused().values()) == len(contents)
    assert not receiver.client.exists("cpu", "unacked", "unacked_index")


@pytest.mark.parametrize(
    "key",
    ["cpu", "unacked", "unacked_index", "unacked_mutex", "_kombu.binding.celery", REFUSED_KEY],
)
@pytest.mark.parametrize("put", ["set", "lpush", "sadd"])
def test_a_key_of_a_wrong_type_is_removed(receiver: Receiver, key: str, put: str) -> None:
    receiver.client.delete(key)
    getattr(receiver.client, put)(key, "x")
    with Sender(receiver.settings) as sender:
        assert sender.send("preprocess", "cpu", [QueueMessage(IDS, "run 3")]) == 1
    receiver.drain()
    receiver.channel.qos.restore_visible(interval=1)
    receiver.channel.exchange_declare("celery")
    receiver.channel.queue_bind("cpu", "celery", "cpu")
    receiver.client.lpush("cpu", b"garbage")
    receiver.drain()
    receiver.channel.report_refusals()
    assert len(receiver.received) == 1
    assert not receiver.client.exists("unacked", "unacked_index")
    kinds = {"cpu": b"none", "_kombu.binding.celery": b"set", REFUSED_KEY: b"hash"}
    assert receiver.client.type(key) in (kinds.get(key, b"none"), b"none")


@pytest.mark.parametrize(
    "entry",
    [
        b"garbage",
        b"[]",
        json.dumps([message(IDS), "", "elsewhere"]).encode(),
        json.dumps([message(IDS, timelimit=[0.01, 0.01]), "", "cpu"]).encode(),
        json.dumps([[], {}, "cpu"]).encode(),
        b'"' + b"x" * (3 << 20) + b'"',
    ],
)
def test_an_odd_entry_of_an_unacknowledged_message_is_removed(receiver: Receiver, entry: bytes) -> None:
    receiver.client.hset("unacked", "tag", entry)
    receiver.client.zadd("unacked_index", {"tag": 1.0, b"\xff\x00": 1.0})
    receiver.channel.qos.restore_visible(interval=1)
    assert not receiver.client.exists("unacked", "unacked_index", "elsewhere")
    receiver.drain()
    assert receiver.received == []
    assert receiver.refused()[Refusal.ODD_ENTRY] >= 1


def test_a_noted_message_returns_to_its_queue(receiver: Receiver) -> None:
    receiver.client.hset("unacked", ID, json.dumps([message(IDS), "", "cpu"]))
    receiver.client.zadd("unacked_index", {ID: 1.0})
    receiver.channel.qos.restore_visible(interval=1)
    receiver.drain()
    assert [body[0][0] for body in receiver.received] == [IDS | {"items": [1, 2]}]


def test_a_lock_that_never_expires_is_removed(receiver: Receiver) -> None:
    receiver.client.set("unacked_mutex", "x")
    receiver.channel.qos.restore_visible(interval=1)
    assert not receiver.client.exists("unacked_mutex")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is bounded on Linux alone")
def test_a_message_beyond_the_memory_of_the_process_is_refused(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.client.lpush("cpu", b"x" * (96 << 20))
    receiver.client.lpush("cpu", raw(message(IDS)))
    monkeypatch.setattr(limits, "PARENT_MEMORY_BYTES", 24 << 20)
    limits.limit_parent()
    try:
        receiver.drain()
    finally:
        limits.lift_parent_limit()
    assert len(receiver.received) == 1
    assert receiver.refused() == {Refusal.TOO_LARGE: 1}


def test_an_error_of_the_consumer_removes_the_message(receiver: Receiver) -> None:
    def fail(body: Any, taken: Any) -> None:
        raise KeyError("id")  # Kombu takes a KeyError for a broken connection, and would reconnect for ever

    receiver.consumer.callbacks[:] = [fail]
    receiver.client.lpush("cpu", raw(message(IDS)))
    receiver.drain()
    assert receiver.refused()[Refusal.FAILED] >= 1
    assert not receiver.client.exists("cpu", "unacked", "unacked_index")


def test_counts_that_are_no_numbers_are_left_out_and_replaced(receiver: Receiver) -> None:
    receiver.client.hset(REFUSED_KEY, mapping={Refusal.NOT_JSON.name: "x" * 99, Refusal.OPTION.name: "-1"})
    with Sender(receiver.settings) as sender:
        assert sender.refused() == {}
    receiver.client.lpush("cpu", b"garbage")
    receiver.drain()
    receiver.channel.report_refusals()
    assert receiver.client.hget(REFUSED_KEY, Refusal.NOT_JSON.name) in (None, b"1")


@contextmanager
def replicas() -> Iterator[tuple[str, Callable[[], None]]]:
    """A broker that is a read-only copy of another, and what makes it a broker of its own."""
    with ExitStack() as stack:
        folders = [stack.enter_context(servers.private_folder("chorus-redis")) for _ in range(2)]
        for folder in folders:
            stack.enter_context(servers.redis(folder))
        copy = redis.Redis(unix_socket_path=str(folders[1] / "s"))
        copy.replicaof("127.0.0.1", str(servers.free_port()))
        yield servers.redis_url(folders[1]), lambda: copy.replicaof("NO", "ONE")


def test_a_read_only_broker_is_waited_for(tmp_path: Path) -> None:
    with replicas() as (url, promote):
        app = make_app(Settings(home=tmp_path, broker_url=url))
        with Sender(Settings(home=tmp_path, broker_url=url)) as sender:
            with pytest.raises(BrokerUnreachable, match="refuses changes"):
                sender.queued("cpu")
            with app.connection_for_read() as connection, pytest.raises(OperationalError, match="READONLY"):
                connection.ensure_connection(max_retries=1, interval_start=0)
            promote()
            assert sender.queued("cpu") == 0
