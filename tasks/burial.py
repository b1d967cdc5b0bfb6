"""What a worker's parent process does when a child dies over a message: only the parent sees it."""

from __future__ import annotations

import logging
import re
import signal
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.worker import state as worker_state
from celery.worker.request import Request

from db.ledger import Ledger
from db.session import Database
from settings import Settings
from tasks.messages import JobMessage, PreprocessMessage

_LOG = logging.getLogger("chorus")
_OWN_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGXCPU})


class StageRequest(Request):
    """A message in the hands of the worker's parent process: only that one sees its child die."""

    def on_failure(self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Notes a dead child in the ledger, then lets Celery do its part."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError) and not worker_state.should_terminate:  # then we end it ourselves
            self._bury(str(error), is_own=_signal_in(str(error)) in _OWN_SIGNALS)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> Any:  # noqa: FBT001
        """Notes a child that was ended because its time was over."""
        if not soft:
            self._bury(f"still at work after {timeout:g} s", is_own=True)
        return super().on_timeout(soft, timeout)

    def _bury(self, reason: str, *, is_own: bool) -> None:
        settings = Settings()
        database = Database(settings.database, keeps_connections=False)  # the next fork must not inherit one
        ledger = Ledger(database, self.hostname, settings.lease_s, int(self.worker_pid or 0))
        try:
            message = self.args[0]
            if self.name == "preprocess":
                ledger.bury_items(PreprocessMessage.from_dict(message).items, is_own=is_own, reason=reason)
            else:
                ledger.bury_job(JobMessage.from_dict(message).job, is_own=is_own, reason=reason)
        except Exception:  # the lease will tell; Celery's own part must be done whatever happens here
            _LOG.exception("the death of %s could not be noted", self.name)


def _signal_in(text: str) -> int:
    """The signal's number in billiard's sentence, 0 when it names none.

    >>> _signal_in("Worker exited prematurely: signal 11 (SIGSEGV) Job: 3.")
    11
    """
    found = re.search(r"signal (\d+)", text)
    return int(found[1]) if found else 0
