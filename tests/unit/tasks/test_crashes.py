"""A parent drops messages that could not be acknowledged, and cancelled timers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace

import pytest
from kombu.asynchronous.timer import Timer
from kombu.message import Message
from kombu.transport.virtual.base import QoS
from redis.exceptions import ConnectionError as BrokerGone

from tasks.runtime.crashes import LedgerRequest, drop_cancelled_timers


def acknowledged(ack: Callable[[QoS, str], None]) -> QoS:
    """What the worker holds after it acknowledged its one message, of at most one at a time."""
    held = QoS(SimpleNamespace(do_restore=False), prefetch_count=1)
    channel = SimpleNamespace(qos=held, no_ack_consumers=None, basic_ack=lambda tag, multiple=False: ack(held, tag))
    message = Message(body=b"{}", delivery_tag="one", channel=channel)
    held.append(message, "one")
    assert not held.can_consume()
    request = LedgerRequest.__new__(LedgerRequest)
    request._message, request._on_ack, request.acknowledged = message, message.ack_log_error, False
    request._connection_errors = (BrokerGone,)
    request.acknowledge()
    return held


def test_a_message_is_given_up_where_the_connection_broke_before_it_was_acknowledged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def ack(_: QoS, tag: str) -> None:
        raise BrokerGone(tag)

    with caplog.at_level(logging.CRITICAL):
        held = acknowledged(ack)
    assert "Couldn't ack" in caplog.text
    assert held.can_consume()
    held.append("next", "two")
    assert not held.can_consume()


def test_a_message_that_was_acknowledged_counts_once() -> None:
    def ack(held: QoS, tag: str) -> None:
        QoS.ack(held, tag)
        held._flush()

    held = acknowledged(ack)
    assert held.can_consume()
    held.append("next", "two")
    assert not held.can_consume()


def test_cancelled_timers_are_dropped_and_the_others_still_fire() -> None:
    timer, rung = Timer(), []
    ticks = iter(timer)  # as the worker's loop does, once for ever
    next(ticks)
    timers = {due_s: timer.call_at(due_s, rung.append, (due_s,)) for due_s in range(-1000, 0)}
    for due_s, entry in timers.items():
        if due_s not in (-900, -500, -7):
            entry.cancel()
    drop_cancelled_timers(timer)
    assert len(timer.queue) == 3
    timer.call_at(-1, rung.append, (-1,))
    for _, entry in islice(ticks, 2000):
        if entry:
            entry()
    assert rung == [-900, -500, -7, -1]


def test_a_few_timers_are_left_alone() -> None:
    timer = Timer()
    for due_s in range(200):
        timer.call_at(due_s, print).cancel()
    drop_cancelled_timers(timer)
    assert len(timer.queue) == 200
