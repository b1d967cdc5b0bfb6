"""Progress of a run, read from the ledger, for progress views and the commands that follow a run."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from db.engine import Database
from db.queries import status
from db.queries.job_inputs import PlannedRun, run_facts
from db.queries.status import JobStatus
from domain.errors import Impossible
from domain.states import FINAL, ITEM_TASKS, OPEN, RUN_FINAL, Kind, RunKind, RunState, State
from domain.subsets import Subset


class View(Protocol):
    """Shows the progress of a run to the user; used as a context around `show`."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...

    def say(self, sentence: str) -> None:
        """Print a line that stays."""

    def show(self, seen: Snapshot) -> None:
        """Show the run as it is now."""


class UnknownRun(Impossible):
    """There is no such run."""

    exit_code = 2


@dataclass(frozen=True)
class Step:
    """Progress of one kind of work."""

    name: str
    done: int
    total: int
    doing: str = ""


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment.  retried_item_reason: why an item waits for another attempt; None if none does."""

    run: PlannedRun
    items: dict[str, int]
    jobs: tuple[JobStatus, ...]
    retried_item_reason: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless a user acts."""
        return self.run.state in (*RUN_FINAL, RunState.PAUSED)

    @property
    def n_open(self) -> int:
        """The number of items that are not final."""
        return sum(self.items[state] for state in OPEN)

    @property
    def item_task(self) -> str:
        """What is done with the items."""
        return ITEM_TASKS[RunKind(self.run.kind)]

    @property
    def retry_reasons(self) -> list[str]:
        """Why work waits for another attempt: of an item, and of each such job."""
        of_jobs = (f"{job.kind}: {job.reason}" for job in self.jobs if job.state == State.WAITING and job.reason)
        of_item = [f"{self.item_task}: {self.retried_item_reason}"] if self.retried_item_reason else []
        return [*of_item, *of_jobs]

    def steps(self) -> list[Step]:
        """Progress by kind of work, in the order of the stages."""
        total = sum(self.items.values())
        steps = [Step(self.item_task, total - self.n_open, total)]
        for kind in Kind:
            of_kind = [job for job in self.jobs if job.kind == kind]
            if of_kind:
                done = sum(job.state in FINAL for job in of_kind)
                running = [job for job in of_kind if job.state == State.RUNNING]
                steps.append(Step(str(kind), done, len(of_kind), ", ".join(map(_doing, running))))
        return steps


def _doing(job: JobStatus) -> str:
    part = f"fold {job.fold}" if fold_number(job.fold) is not None else ""
    subset = Subset(job.subset).word if job.subset is not None else ""
    epoch = f"epoch {job.epoch}" if job.epoch else ""
    return " ".join(filter(None, (job.model, job.variant, part, subset, epoch)))


def fold_number(fold: int | None) -> int | None:
    """The number of the fold; None for the part that belongs to no fold."""
    return None if fold is None or fold < 0 else fold


def snapshot(database: Database, run: int) -> Snapshot:
    """The run as it is now.

    Raises:
        UnknownRun: there is no such run.
    """
    facts = run_facts(database, run)
    if facts is None:
        raise UnknownRun(f"there is no run {run}; `orchestrator runs` lists all runs")
    counts = status.item_counts(database, run)
    reason = status.retried_item_reason(database, run) if counts[State.WAITING] else None
    return Snapshot(facts, counts, tuple(status.jobs(database, run)), reason)
