"""Whether a container goes on: judged by progress, since a process may answer and yet do nothing."""

from __future__ import annotations

from db.engine import Database, DatabaseUnusable
from domain.errors import BrokerUnreachable, ChorusError, UsageError
from orchestrator.broker import Sender
from settings import Settings
from tasks.runtime import liveness

STUCK_AFTER_S = 60.0
"""A dispatcher goes round, a worker with something to do begins it, ends it or is at work on it, far more often."""
DISPATCHER = "dispatcher"


class Stuck(ChorusError):
    """This container's process does not go on; starting it anew is the cure."""


def require_progress(settings: Settings, role: str) -> str:
    """How the process of this role, in this container, is getting on.

    Work that has made no step for a quarter of an hour (`tasks.runtime.heartbeat.STALLED_AFTER_S`) is
    stuck, whatever else is.
    Raises Stuck, or UsageError when no progress is noted here.
    """
    if settings.progress_file is None:
        raise UsageError("progress is noted in no file; set CHORUS_PROGRESS_FILE for the process and for its check")
    if stalled := liveness.complaint(settings.progress_file, STUCK_AFTER_S):
        raise Stuck(stalled)
    age_s = liveness.age_s(settings.progress_file)
    if age_s is None:
        raise Stuck(f"this {role} has not begun yet")
    if age_s <= STUCK_AFTER_S:
        return f"went on {age_s:.0f} s ago"
    if role == DISPATCHER:
        raise Stuck(f"this dispatcher has not gone round for {age_s:.0f} s")
    return _require_idle(settings, role, age_s)


def _require_idle(settings: Settings, queue: str, age_s: float) -> str:
    try:
        n_waiting = Sender(settings).queued(queue)
    except BrokerUnreachable as error:
        return f"idle for {age_s:.0f} s: {error}"  # a new start would not bring the broker back
    if n_waiting == 0:
        return f"idle for {age_s:.0f} s, and nothing waits"
    if settings.database_url:
        try:
            Database(settings.database, keeps_connections=False).require_answer()
        except DatabaseUnusable as error:
            return f"idle for {age_s:.0f} s: {error}"  # nor the database
    raise Stuck(f"{n_waiting} messages wait in queue {queue}, and this worker has done nothing for {age_s:.0f} s")
