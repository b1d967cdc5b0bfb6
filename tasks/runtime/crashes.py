"""Additions to Celery's handling of messages in a worker's parent process.

The parent refuses messages that this system does not send, records the death of a child, which only it detects, and
removes messages that it could not acknowledge and timers that were cancelled.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.worker import state as worker_state
from celery.worker import strategy as celery_strategy
from celery.worker.request import Request
from kombu.asynchronous import get_event_loop
from kombu.asynchronous.timer import Timer
from kombu.transport.virtual.base import QoS

from db.engine import Database
from db.ledger.claims import Ledger
from domain.states import ITEM_TASKS
from settings import Settings
from tasks.runtime.envelope import require_harmless, require_one_argument
from tasks.runtime.messages import ItemsMessage, JobMessage, MalformedMessage, UnknownMessage
from tasks.runtime.refusals import REFUSALS, Refusal, Refused

_LOG = logging.getLogger("chorus")
_OWN_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGXCPU})

_CLEANED_FROM = 200
"""Number of timers from which cancelled ones are removed; a parent has one per child and a few of its own."""


class MemoryKills:
    """The processes that the kernel has killed for lack of memory, on this machine and in this container.

    Such a kill is a SIGKILL like any other; only these counters tell it from one that came from outside.
    """

    def __init__(self, counters: Sequence[Path] = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))) -> None:
        self._counters = counters
        self._seen = self._total()

    def _total(self) -> int:
        total = 0
        for file in self._counters:
            with contextlib.suppress(OSError, ValueError):
                total += sum(
                    int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill ")
                )
        return total

    def explained(self, text: str) -> str:
        """The text about a dead child; of one that was killed, with the lack of memory if the kernel met one."""
        before, self._seen = self._seen, self._total()
        if _signal_in(text) != signal.SIGKILL or self._seen <= before:
            return text
        return f"the kernel killed it because memory ran out; use fewer child processes, or more memory ({text})"


class LedgerRequest(Request):
    """A message that the worker's parent process has received."""

    def acknowledge(self) -> None:
        """Acknowledge the message, and drop it from the worker's list even if that failed.

        If the connection broke, Celery only logs it, and the message would count as unacknowledged for ever. With one
        message at a time, the worker would then take no other one although it still answers. The broker delivers the
        message again later, and the ledger knows that its work is done.

        Cancelled timers of earlier messages are removed here too: for most messages, Celery calls no later method of
        this class.
        """
        super().acknowledge()
        held, tag = self.message.channel.qos, self.message.delivery_tag
        with contextlib.suppress(KeyError):  # the acknowledgement succeeded
            held.get(tag)
            QoS.ack(held, tag)
        if loop := get_event_loop():
            drop_cancelled_timers(loop.timer)

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Record a dead child in the ledger, then let Celery do its part."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        # A worker that is terminating kills its children itself: that is no crash.
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:
            self._record(_MEMORY.explained(str(error)), is_own=_signal_in(str(error)) in _OWN_SIGNALS)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001
        """Record a child that was killed at its time limit."""
        if not soft:
            self._record(f"still at work after {timeout:g} s", is_own=True)
        return super().on_timeout(soft, timeout)

    def _record(self, reason: str, *, is_own: bool) -> None:
        settings = Settings()
        database = Database(settings.database, keeps_connections=False)  # the next fork must not inherit a connection
        ledger = Ledger(database, self.hostname, settings.lease_s, int(self.worker_pid or 0))
        try:
            message = self.args[0]
            if self.name in ITEM_TASKS.values():
                ledger.record_item_crash(ItemsMessage.from_dict(message).items, is_own=is_own, reason=reason)
            else:
                ledger.record_job_crash(JobMessage.from_dict(message).job, is_own=is_own, reason=reason)
        except Exception:  # the lease will expire; Celery's part must be done in any case
            _LOG.exception("the crash of %s could not be recorded; its lease will expire", self.name)


def strategy(task: Any, app: Any, consumer: Any) -> Callable[..., Any]:
    """Celery's way from a received message to the pool, for messages that this system sends; others are refused.

    The transport has checked the envelope already, but only the transports of workers.transport do. A message of a
    later version passes, because a child puts it back.
    """
    carry_on = celery_strategy.default(task, app, consumer)

    def receive(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> Any:
        try:
            _require_known(task.name, message)
        except Refused as refused:
            REFUSALS.add(refused.why)
            message.reject_log_error(_LOG, consumer.connection_errors)
            return None
        return carry_on(message, body, ack, reject, callbacks)

    return receive


def _require_known(task: str, message: Any) -> None:
    """Raise Refused unless the message is one that a dispatcher sends."""
    require_harmless(message.headers)
    if not isinstance(message.headers.get("id"), str):
        raise Refused(Refusal.ODD_ENVELOPE)
    try:
        argument = require_one_argument(message.decode())
    except Refused:
        raise
    except Exception as error:  # kombu's decoders raise what they like
        raise Refused(Refusal.NOT_JSON) from error
    kind = ItemsMessage if task in ITEM_TASKS.values() else JobMessage
    try:
        kind.from_dict(argument)
    except UnknownMessage:
        return
    except MalformedMessage as error:
        raise Refused(Refusal.ODD_CONTENT) from error


def drop_cancelled_timers(timer: Timer) -> None:
    """Remove cancelled timers from Celery's event loop.

    Every message sets a timer for its time limit. Celery cancels it when the message is done, but keeps it until it is
    due: the parent would grow for a quarter of an hour.
    """
    timers: list[Any] = timer._queue  # changed in place, because the event loop keeps a reference to the list
    if len(timers) > _CLEANED_FROM:
        timers[:] = [entry for entry in timers if not entry.entry.canceled]
        heapq.heapify(timers)


def _signal_in(text: str) -> int:
    """The signal's number in billiard's message; 0 if it names none.

    >>> _signal_in("Worker exited prematurely: signal 11 (SIGSEGV) Job: 3.")
    11
    """
    found = re.search(r"signal (\d+)", text)
    return int(found[1]) if found else 0


_MEMORY = MemoryKills()
