"""Metrics of the whole ledger, from rows that are kept up to date: no query scans the items.

Quarantines by reason are the exception. They are read run by run, only for runs whose number of quarantined items has
changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.presence import KnownWorker, known_workers
from db.schema.tables import ATTEMPTS, EXPIRIES, Item, Job, Metric, Run, RunCounter
from domain.reasons import ReasonCode
from domain.states import CLAIMABLE, FINAL, ITEM_TASKS, OPEN, Kind, RunKind, RunState, State

_MOST_REASONS = 20
OTHER = "other"
"""Sum of the codes beyond the most frequent ones."""
ITEM_KINDS = tuple(ITEM_TASKS.values())
"""The kinds of items: `preprocess` and `predict`; the kind of a job is one of `Kind`."""


@dataclass(frozen=True)
class LedgerMetrics:
    """Metrics of the ledger at one moment."""

    items: dict[str, int]
    open: dict[tuple[str, str], int]
    """Open items and jobs of active runs, by kind (one of `ITEM_KINDS`, or a job's) and state."""
    finished: dict[tuple[str, str], int]
    """By kind and final state. Zeros are included: a counter that appears with its first event would miss that event.
    """
    attempts: int
    lease_expiries: int
    quarantined: dict[str, int]
    """Quarantined items by reason code."""
    oldest_waiting_s: dict[str, float]
    """By kind, of active runs: the time since the oldest unclaimed work was sent or, for items, could have been sent.
    """
    epochs: dict[tuple[int, str], int]
    """Finished epochs of running trainings, by job and model."""
    workers: tuple[KnownWorker, ...]


@dataclass
class Gauges:
    """Measures one ledger repeatedly; caches what has not changed."""

    database: Database
    _reasons: dict[int, tuple[int, Counter[str]]] = field(default_factory=dict)

    def measure(self) -> LedgerMetrics:
        """Measure the ledger now. Raises: DatabaseUnusable."""
        workers = tuple(known_workers(self.database))
        with self.database.read() as connection:
            (counters, kinds), active = _counters(connection), _active(connection)
            by_state: Counter[str] = Counter()
            for (_, state), n in counters.items():
                by_state[state] += n
            return LedgerMetrics(
                items={str(state): by_state[state] for state in State},
                open=_open(connection, counters, active, kinds),
                finished=_finished(connection, counters, kinds),
                attempts=by_state[ATTEMPTS],
                lease_expiries=by_state[EXPIRIES],
                quarantined=self._quarantined(connection, counters),
                oldest_waiting_s=_oldest_waiting(connection, counters, active, kinds),
                epochs=_epochs(connection),
                workers=workers,
            )

    def _quarantined(self, connection: Connection, counters: dict[tuple[int, str], int]) -> dict[str, int]:
        # A run's reasons are read again only if its number of quarantined items has changed.
        counted = {run: n for (run, state), n in counters.items() if state == State.QUARANTINED and n}
        self._reasons = {run: self._reasons[run] for run in counted if run in self._reasons}
        for run, n in counted.items():
            if self._reasons.get(run, (0, None))[0] != n:
                self._reasons[run] = n, _reasons(connection, run)
        total = sum((reasons for _, reasons in self._reasons.values()), Counter[str]())
        shown = dict(total.most_common(_MOST_REASONS))
        rest = total.total() - sum(shown.values())
        return {**shown, **({OTHER: rest} if rest else {})}


def _counters(connection: Connection) -> tuple[dict[tuple[int, str], int], dict[int, str]]:
    """The counters by run and state, and the kind of each run's items."""
    query = sa.select(Run.id, Run.kind, RunCounter.state, sa.func.sum(RunCounter.n)).join(RunCounter)
    rows = connection.execute(query.group_by(Run.id, Run.kind, RunCounter.state)).all()
    kinds = {run: ITEM_TASKS[RunKind(kind)] for run, kind, _, _ in rows}
    return {(run, state): int(n) for run, _, state, n in rows}, kinds


def _active(connection: Connection) -> dict[int, float]:
    """The active runs, each with its age in seconds."""
    query = sa.select(Run.id, now_s() - Run.created_at).where(Run.state == RunState.ACTIVE)
    return {run: max(0.0, age_s) for run, age_s in connection.execute(query)}


def _open(
    connection: Connection, counters: dict[tuple[int, str], int], active: dict[int, float], kinds: dict[int, str]
) -> dict[tuple[str, str], int]:
    counted = Counter({(str(kind), str(state)): 0 for kind in (*ITEM_KINDS, *Kind) for state in OPEN})
    for (run, state), n in counters.items():
        if run in active and state in OPEN:
            counted[kinds[run], state] += n
    query = sa.select(Job.kind, Job.state, sa.func.count()).where(is_one_of(Job.run_id, active), Job.state.in_(OPEN))
    for kind, state, n in connection.execute(query.group_by(Job.kind, Job.state)):
        counted[kind, state] = int(n)
    return dict(counted)


def _finished(
    connection: Connection, counters: dict[tuple[int, str], int], kinds: dict[int, str]
) -> dict[tuple[str, str], int]:
    counted = Counter({(str(kind), str(state)): 0 for kind in (*ITEM_KINDS, *Kind) for state in FINAL})
    for (run, state), n in counters.items():
        if state in FINAL:
            counted[kinds[run], state] += n
    query = sa.select(Job.kind, Job.state, sa.func.count()).where(Job.state.in_(FINAL)).group_by(Job.kind, Job.state)
    for kind, state, n in connection.execute(query):
        counted[kind, state] = int(n)
    return dict(counted)


def _reasons(connection: Connection, run: int) -> Counter[str]:
    """Quarantined items of one run by reason code."""
    is_lost = (Item.run_id == run, Item.state == State.QUARANTINED)
    rows = connection.execute(sa.select(Item.reason_code, sa.func.count()).where(*is_lost).group_by(Item.reason_code))
    return Counter({str(code or ReasonCode.UNKNOWN): int(n) for code, n in rows})


def _oldest_waiting(
    connection: Connection, counters: dict[tuple[int, str], int], active: dict[int, float], kinds: dict[int, str]
) -> dict[str, float]:
    """Read through the index of run and state, which finds few rows: the dispatcher's window limits what is sent.

    An item that is not sent could have been since its run was created. For jobs that is unknown without their needs.
    """
    waiting = {state: [run for run in active if counters.get((run, state))] for state in CLAIMABLE}
    found = dict.fromkeys(ITEM_KINDS, 0.0)
    items = sa.select(Item.run_id, now_s() - sa.func.min(Item.sent_at)).where(Item.state == State.SENT)
    sent = connection.execute(items.where(is_one_of(Item.run_id, waiting[State.SENT])).group_by(Item.run_id))
    for run, age_s in (*sent, *((run, active[run]) for run in waiting[State.WAITING])):
        found[kinds[run]] = max(found[kinds[run]], age_s or 0.0)
    jobs = sa.select(Job.kind, now_s() - sa.func.min(Job.sent_at)).where(Job.state == State.SENT).group_by(Job.kind)
    rows = connection.execute(jobs.where(is_one_of(Job.run_id, active)))
    return found | {str(kind): max(0.0, age_s) for kind, age_s in rows}


def _epochs(connection: Connection) -> dict[tuple[int, str], int]:
    """Finished epochs of running trainings."""
    last = sa.func.coalesce(sa.func.max(Metric.epoch), 0)
    query = (
        sa.select(Job.id, Job.model, last)
        .outerjoin(Metric, Metric.job_id == Job.id)
        .where(Job.state == State.RUNNING, Job.kind == Kind.TRAIN)
        .group_by(Job.id, Job.model)
    )
    return {(job, model or ""): int(epoch) for job, model, epoch in connection.execute(query)}
