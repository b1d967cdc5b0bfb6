"""Workers and their current work, and queues that no worker serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from db.ledger.presence import KnownWorker, known_workers
from db.queries.status import running_work
from domain.errors import BrokerUnreachable
from domain.plural import duration
from domain.states import CLAIMABLE
from orchestrator.broker import Sender
from orchestrator.home import is_run_command_active
from orchestrator.progress import Snapshot, snapshot
from orchestrator.session import Session
from workers.roles import QUEUE_OF_TASK


@dataclass(frozen=True)
class WorkerLine:
    """One worker. progress_age_s: time since its last progress; None if it never registered and holds no work."""

    worker: str
    host: str
    role: str
    queues: list[str]
    doing: list[str]
    device: str
    progress_age_s: float | None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`; the age to tenths of a second."""
        age_s = None if self.progress_age_s is None else round(self.progress_age_s, 1)
        return {**asdict(self), "progress_age_s": age_s}

    def line(self) -> str:
        """For people."""
        age_s = self.progress_age_s
        last = "" if age_s is None else f"last progress {duration(age_s)} ago"
        doing = "; ".join(self.doing) or "idle"
        queues = ", ".join(self.queues) or "no queue: it does not answer"
        return "  ".join(filter(None, (self.worker, self.host, self.role, queues, self.device, doing, last)))


def workers(session: Session) -> list[WorkerLine]:
    """The workers that answer within a second, and those that hold work and do not answer.

    Raises:
        BrokerUnreachable: the broker does not answer.
    """
    with Sender(session.settings) as sender:
        answering = sender.workers()
    doing = running_work(session.database)
    known = {worker.name: worker for worker in known_workers(session.database)}
    names = sorted({*answering, *(worker.name for worker in known.values() if worker.holds_work)})
    return [
        _line(name, answering.get(name, []), [f"{w.what} of run {w.run}" for w in doing if w.worker == name], known)
        for name in names
    ]


def _line(name: str, queues: list[str], doing: list[str], known: dict[str, KnownWorker]) -> WorkerLine:
    of = known.get(name)
    host, role = (of.host, of.role) if of else (name.rpartition("@")[2], name.partition("-")[0])
    return WorkerLine(name, host, role, queues, doing, of.device if of else "", of.progressed_age_s if of else None)


def unserved(session: Session, run: int) -> list[str]:
    """A sentence for each queue that the run needs and no worker serves; none if the broker does not answer.

    A `run` starts its own workers when they are needed, so nothing is missing while one is active.
    """
    if is_run_command_active(session.settings):
        return []
    needed = needed_queues(snapshot(session.database, run))
    if not needed:
        return []
    try:
        with Sender(session.settings) as sender:
            served = {queue for queues in sender.workers().values() for queue in queues}
    except BrokerUnreachable:
        return []
    return [missing_worker_line(run, queue, needed[queue]) for queue in needed if queue not in served]


def needed_queues(seen: Snapshot) -> dict[str, list[str]]:
    """The queues of open work, each with its open tasks, in the order of the stages."""
    tasks = [seen.item_task] if any(seen.items[state] for state in CLAIMABLE) else []
    tasks += [job.kind for job in seen.jobs if job.state in CLAIMABLE]
    needed: dict[str, list[str]] = {}
    for task in dict.fromkeys(tasks):
        needed.setdefault(QUEUE_OF_TASK[task], []).append(task)
    return needed


def missing_worker_line(run: int, queue: str, tasks: list[str]) -> str:
    """The missing worker, and what to do.

    >>> missing_worker_line(3, "gpu", ["train", "evaluate"])
    'run 3 waits: no worker serves the queue gpu (train, evaluate); start one with: orchestrator worker gpu'
    """
    return (
        f"run {run} waits: no worker serves the queue {queue} ({', '.join(tasks)}); "
        f"start one with: orchestrator worker {queue}"
    )
