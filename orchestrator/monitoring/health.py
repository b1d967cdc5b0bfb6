"""Check that a container makes progress: a process may respond and still do nothing."""

from __future__ import annotations

from db.engine import Database, DatabaseUnusable
from domain.errors import BrokerUnreachable, ChorusError, UsageError
from orchestrator.broker import Sender
from settings import Settings
from tasks.runtime import liveness

STUCK_AFTER_S = 60.0
"""Dispatchers, and workers that have work, make progress far more often."""
DISPATCHER = "dispatcher"


class NoProgress(ChorusError):
    """This container's process makes no progress; restart it."""


def require_progress(settings: Settings, role: str) -> str:
    """A sentence on the progress of this container's process.

    Work without progress for a quarter of an hour (`domain.retry.STALLED_AFTER_S`) counts as stuck in any
    case.

    Raises:
        NoProgress: the process makes no progress.
        UsageError: no file is set for progress.
    """
    if settings.progress_file is None:
        raise UsageError("no file is set for progress; set CHORUS_PROGRESS_FILE for the process and for this check")
    if stalled := liveness.recent_stall(settings.progress_file, STUCK_AFTER_S):
        raise NoProgress(stalled)
    age_s = liveness.age_s(settings.progress_file)
    if age_s is None:
        raise NoProgress(f"this {role} has not started yet")
    if age_s <= STUCK_AFTER_S:
        return f"last progress {age_s:.0f} s ago"
    if role == DISPATCHER:
        raise NoProgress(f"this dispatcher has made no progress for {age_s:.0f} s")
    return _require_idle(settings, role, age_s)


def _require_idle(settings: Settings, queue: str, age_s: float) -> str:
    try:
        with Sender(settings) as sender:
            n_waiting = sender.queued(queue)
    except BrokerUnreachable as error:
        return f"idle for {age_s:.0f} s: {error}"  # a restart would not bring the broker back
    if n_waiting == 0:
        return f"idle for {age_s:.0f} s, and nothing waits"
    if settings.database_url:
        try:
            Database(settings.database, keeps_connections=False).require_answer()
        except DatabaseUnusable as error:
            return f"idle for {age_s:.0f} s: {error}"  # nor the database
    raise NoProgress(f"{n_waiting} messages wait in queue {queue}, and this worker has done nothing for {age_s:.0f} s")
