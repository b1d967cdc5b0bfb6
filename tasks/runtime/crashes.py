"""What a worker's parent process does with a message besides what Celery does: it notes a child's death in the ledger,
which only the parent sees, and lets go of what it could not acknowledge and of alarms that were called off.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import re
import signal
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request
from kombu.asynchronous import get_event_loop
from kombu.asynchronous.timer import Timer
from kombu.transport.virtual.base import QoS

from db.engine import Database
from db.ledger.claims import Ledger
from settings import Settings
from tasks.runtime.messages import JobMessage, PreprocessMessage

_LOG = logging.getLogger("chorus")
_OWN_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGXCPU})

_TIDIED_FROM = 200
"""Alarms from which those called off are looked for; a parent has one a child, and a few of its own."""


class StageRequest(Request):
    """A message in the hands of the worker's parent process."""

    def acknowledge(self) -> None:
        """Celery's; afterwards the message is out of this worker's hands, however that ended.

        Where the connection broke, Celery only logs it: the message would count as being worked on for ever, and with
        one at a time the worker take no other one, though it answers when it is asked. The broker hands the message
        out again later, and the ledger knows that it is done.

        Alarms of messages before it are tidied up here too, for Celery itself calls nothing of this class after most.
        """
        super().acknowledge()
        held, tag = self.message.channel.qos, self.message.delivery_tag
        with contextlib.suppress(KeyError):  # it is out of them
            held.get(tag)
            QoS.ack(held, tag)
        if loop := get_event_loop():
            forget_called_off(loop.timer)

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Notes a dead child in the ledger, then lets Celery do its part."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:  # then we end it ourselves
            self._record(str(error), is_own=_signal_in(str(error)) in _OWN_SIGNALS)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001
        """Notes a child that was ended because its time was over."""
        if not soft:
            self._record(f"still at work after {timeout:g} s", is_own=True)
        return super().on_timeout(soft, timeout)

    def _record(self, reason: str, *, is_own: bool) -> None:
        settings = Settings()
        database = Database(settings.database, keeps_connections=False)  # the next fork must not inherit one
        ledger = Ledger(database, self.hostname, settings.lease_s, int(self.worker_pid or 0))
        try:
            message = self.args[0]
            if self.name == "preprocess":
                ledger.record_item_crash(PreprocessMessage.from_dict(message).items, is_own=is_own, reason=reason)
            else:
                ledger.record_job_crash(JobMessage.from_dict(message).job, is_own=is_own, reason=reason)
        except Exception:  # the lease will tell; Celery's own part must be done whatever happens here
            _LOG.exception("the death of %s could not be noted", self.name)


def forget_called_off(timer: Timer) -> None:
    """Every message sets an alarm for its time limit. Celery calls it off when the message is done, and keeps it until
    it is due: the parent would grow for a quarter of an hour.
    """
    alarms: list[Any] = timer._queue  # in place, for the loop holds on to this list
    if len(alarms) > _TIDIED_FROM:
        alarms[:] = [alarm for alarm in alarms if not alarm.entry.canceled]
        heapq.heapify(alarms)


def _signal_in(text: str) -> int:
    """The signal's number in billiard's sentence, 0 when it names none.

    >>> _signal_in("Worker exited prematurely: signal 11 (SIGSEGV) Job: 3.")
    11
    """
    found = re.search(r"signal (\d+)", text)
    return int(found[1]) if found else 0
