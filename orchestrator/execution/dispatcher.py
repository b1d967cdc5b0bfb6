"""Feeds the queues up to a limit, and repairs lost messages and claims. The ledger is its only source.

Items and jobs that were sent and never claimed are sent again; those with an expired claim wait again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from db.engine import Database
from db.ledger import control, feeding
from db.ledger.feeding import ActiveRun
from db.queries import job_inputs
from db.schema.tables import Item, Job
from domain.errors import BrokerUnreachable
from domain.retry import MESSAGE_LOST_AFTER_S, MESSAGE_STALE_AFTER_S
from domain.states import ITEM_TASKS, Kind, RunKind
from orchestrator.broker import QueueMessage, Sender
from settings import Settings
from tasks.audio.preset import PresetError
from tasks.model.prediction_pipeline import pipeline_digest
from tasks.runtime import liveness
from tasks.runtime.messages import ItemsMessage, JobMessage
from workers.roles import QUEUE_OF_TASK

_LOG = logging.getLogger("chorus")
LARGEST_MESSAGE_S = 1.0
"""Maximum work in a message, in seconds of one core: overhead is negligible, and repeating it is cheap."""
_FREE_PART = 1 / 4
"""The window is refilled when this share of it is free: sending many messages at once is cheaper.

Workers never wait for messages if they take at most three windows per second."""
_JOBS_AHEAD = {"cpu": None, "gpu": 1}
"""Maximum number of jobs that wait in a queue; one, so that a model is evaluated before another training begins."""
_RECONCILE_EVERY_S = 2.0
_BUSY_PAUSE_S, _IDLE_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.25, 10.0
_MOST_DOUBLINGS = 10
"""Bounds the exponent of the pause; a broker may be away for days."""


def _items_message(batch: feeding.ItemBatch) -> QueueMessage:
    others = f" and {len(batch.items) - 1} more" if len(batch.items) > 1 else ""
    return QueueMessage(ItemsMessage(batch.run, batch.items).to_dict(), f"run {batch.run}: {batch.first}{others}")


def _job_message(job: feeding.ReadyJob) -> QueueMessage:
    what = f": {job.what}" if job.what else ""
    return QueueMessage(JobMessage(job.run, job.job).to_dict(), f"run {job.run}, job {job.job}{what}")


class Dispatcher:
    """Feeds active runs and repairs what was interrupted, one step at a time. Several at once do no harm.

    only_run: the run to feed; None: all active runs.
    """

    def __init__(self, database: Database, sender: Sender, settings: Settings, only_run: int | None = None) -> None:
        self._database, self._sender, self._settings, self._only_run = database, sender, settings, only_run
        self._reconciled_at = 0.0
        self._failures = 0
        self._current: set[int] = set()  # runs that this version planned, or one with equal strips

    def close(self) -> None:
        """Close the sender's connection."""
        self._sender.close()

    def step(self) -> float:
        """Do one step; return the seconds to wait before the next."""
        try:
            is_due = time.monotonic() - self._reconciled_at > _RECONCILE_EVERY_S
            if is_due:
                self._reconcile()
                self._reconciled_at = time.monotonic()
            active = feeding.active_runs(self._database)
            if self._pack_anew(run.id for run in self._ours(active) if is_due or run.is_over):
                active = feeding.active_runs(self._database)
            if any(run.is_over for run in active):
                feeding.close_runs(self._database)
            ours = self._ours(active)
            sent = self._feed_items(ours) + self._feed_jobs(ours)
        except (BrokerUnreachable, ConnectionError) as error:
            self._failures += 1
            _LOG.warning("%s", error)
            return float(min(_IDLE_PAUSE_S * 2 ** min(self._failures, _MOST_DOUBLINGS), _LONGEST_PAUSE_S))
        self._failures = 0
        return _BUSY_PAUSE_S if sent else _IDLE_PAUSE_S

    def show_progress(self) -> None:
        """Record progress for the health check."""
        liveness.touch(self._settings.progress_file)

    def _ours(self, active: Sequence[ActiveRun]) -> list[ActiveRun]:
        return [run for run in active if self._only_run in (None, run.id)]

    def _pack_anew(self, runs: Iterable[int]) -> int:
        """Mark the parts that an older version packed, so that they are packed again; return their number."""
        parts = {run: n for run in runs if (n := control.repack_outdated(self._database, run))}
        for run, n in parts.items():
            again = "1 part" if n == 1 else f"{n} parts"
            _LOG.warning("run %d: packing %s again and training again; an older version packed them", run, again)
        return sum(parts.values())

    def _cancel_outdated(self, run: int) -> bool:
        """Cancel a run whose other strips were made by an earlier version: strips of both do not belong together."""
        if run not in self._current:
            pipelines = job_inputs.pipelines(self._database, run)
            if any(_digest(parameters) not in (digest, None) for digest, parameters in pipelines):
                control.cancel(self._database, run)
                _LOG.warning(
                    "run %d is cancelled: an earlier version planned it, whose strips differ from this version's; "
                    "submit its data again with `orchestrator run`",
                    run,
                )
                return True
            self._current.add(run)
        return False

    def _feed_items(self, active: Sequence[ActiveRun]) -> int:
        runs = [run for run in active if run.n_waiting and not self._cancel_outdated(run.id)]
        window = self._settings.window_messages
        free = window - self._sender.queued("cpu") if runs else 0
        if free < window * _FREE_PART:
            return 0
        sent = 0
        for run in runs:
            share = -(-free // len(runs))  # every active run gets an equal share of the window
            batches = feeding.take_batches(self._database, run.id, share, LARGEST_MESSAGE_S)
            taken = self._sender.send(ITEM_TASKS[RunKind(run.kind)], "cpu", list(map(_items_message, batches)))
            feeding.put_back_unsent(self._database, Item, [item for batch in batches[taken:] for item in batch.items])
            _require_taken(taken, len(batches))
            sent += taken
        return sent

    def _feed_jobs(self, active: Sequence[ActiveRun]) -> int:
        if not any(run.has_job_to_try for run in active):
            return 0
        feeding.cancel_blocked_jobs(self._database)
        return sum(self._feed_jobs_of(queue) for queue in _JOBS_AHEAD)

    def _feed_jobs_of(self, queue: str) -> int:
        ahead = _JOBS_AHEAD[queue]
        free = None if ahead is None else ahead - self._sender.queued(queue)
        if free is not None and free <= 0:
            return 0
        kinds = [kind for kind in Kind if QUEUE_OF_TASK[kind] == queue]
        ready = feeding.take_jobs(self._database, self._only_run, kinds, free)
        for at, job in enumerate(ready):
            if not self._sender.send(job.kind, QUEUE_OF_TASK[job.kind], [_job_message(job)]):
                feeding.put_back_unsent(self._database, Job, [left.job for left in ready[at:]])
                _require_taken(at, len(ready))
        return len(ready)

    def _reconcile(self) -> None:
        feeding.put_back_expired(self._database)
        for queue, lost_after_s in MESSAGE_LOST_AFTER_S.items():
            older_s = lost_after_s if self._sender.queued(queue) == 0 else MESSAGE_STALE_AFTER_S
            tasks = [task for task, served in QUEUE_OF_TASK.items() if served == queue]
            feeding.put_back_stale(self._database, Job, older_s, tasks)
            if not set(tasks).isdisjoint(ITEM_TASKS.values()):
                feeding.put_back_stale(self._database, Item, older_s)


def _require_taken(taken: int, offered: int) -> None:
    """Raise BrokerUnreachable if the broker refused messages: sending them again at once would not help."""
    if taken < offered:
        raise BrokerUnreachable(f"the broker accepted {taken} of {offered} messages; the others wait in the ledger")


def dispatch_forever(dispatcher: Dispatcher, is_over: Callable[[], bool], sleep: Callable[[float], object]) -> None:
    """Call `step` until `is_over` returns True; `sleep` may return early."""
    while not is_over():
        pause_s = dispatcher.step()
        dispatcher.show_progress()
        sleep(pause_s)


def _digest(parameters: dict[str, Any]) -> str | None:
    """Return the digest of a pipeline by this version; None if it does not accept the parameters: workers say why."""
    try:
        return pipeline_digest(parameters)
    except PresetError:
        return None
