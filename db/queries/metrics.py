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
from domain.states import CLAIMABLE, FINAL, OPEN, Kind, RunState, State

_MOST_REASONS = 20
OTHER = "other"
"""Sum of the codes beyond the most frequent ones."""
PREPROCESS = "preprocess"
"""The kind of an item; the kind of a job is one of `Kind`."""
_KINDS = (PREPROCESS, *Kind)


@dataclass(frozen=True)
class LedgerMetrics:
    """Metrics of the ledger at one moment."""

    items: dict[str, int]
    open: dict[tuple[str, str], int]
    """Open items and jobs of active runs, by kind (`preprocess`, or a job's) and state."""
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
            counters, active = _counters(connection), _active(connection)
            by_state: Counter[str] = Counter()
            for (_, state), n in counters.items():
                by_state[state] += n
            return LedgerMetrics(
                items={str(state): by_state[state] for state in State},
                open=_open(connection, counters, active),
                finished=_finished(connection, by_state),
                attempts=by_state[ATTEMPTS],
                lease_expiries=by_state[EXPIRIES],
                quarantined=self._quarantined(connection, counters),
                oldest_waiting_s=_oldest_waiting(connection, counters, active),
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


def _counters(connection: Connection) -> dict[tuple[int, str], int]:
    query = sa.select(RunCounter.run_id, RunCounter.state, sa.func.sum(RunCounter.n)).group_by(
        RunCounter.run_id, RunCounter.state
    )
    return {(run, state): int(n) for run, state, n in connection.execute(query)}


def _active(connection: Connection) -> dict[int, float]:
    """The active runs, each with its age in seconds."""
    query = sa.select(Run.id, now_s() - Run.created_at).where(Run.state == RunState.ACTIVE)
    return {run: max(0.0, age_s) for run, age_s in connection.execute(query)}


def _open(
    connection: Connection, counters: dict[tuple[int, str], int], active: dict[int, float]
) -> dict[tuple[str, str], int]:
    counted = Counter({(str(kind), str(state)): 0 for kind in _KINDS for state in OPEN})
    for (run, state), n in counters.items():
        if run in active and state in OPEN:
            counted[PREPROCESS, state] += n
    query = sa.select(Job.kind, Job.state, sa.func.count()).where(is_one_of(Job.run_id, active), Job.state.in_(OPEN))
    for kind, state, n in connection.execute(query.group_by(Job.kind, Job.state)):
        counted[kind, state] = int(n)
    return dict(counted)


def _finished(connection: Connection, items: Counter[str]) -> dict[tuple[str, str], int]:
    query = sa.select(Job.kind, Job.state, sa.func.count()).where(Job.state.in_(FINAL)).group_by(Job.kind, Job.state)
    jobs = {(kind, state): int(n) for kind, state, n in connection.execute(query)}
    none = {(str(kind), str(state)): 0 for kind in Kind for state in FINAL}
    return {**{(PREPROCESS, str(state)): items[state] for state in FINAL}, **none, **jobs}


def _reasons(connection: Connection, run: int) -> Counter[str]:
    """Quarantined items of one run by reason code."""
    is_lost = (Item.run_id == run, Item.state == State.QUARANTINED)
    rows = connection.execute(sa.select(Item.reason_code, sa.func.count()).where(*is_lost).group_by(Item.reason_code))
    return Counter({str(code or ReasonCode.UNKNOWN): int(n) for code, n in rows})


def _oldest_waiting(
    connection: Connection, counters: dict[tuple[int, str], int], active: dict[int, float]
) -> dict[str, float]:
    """Read through the index of run and state, which finds few rows: the dispatcher's window limits what is sent.

    An item that is not sent could have been since its run was created. For jobs that is unknown without their needs.
    """
    waiting = {state: [run for run in active if counters.get((run, state))] for state in CLAIMABLE}
    is_sent = (is_one_of(Item.run_id, waiting[State.SENT]), Item.state == State.SENT)
    sent_s = connection.execute(sa.select(now_s() - sa.func.min(Item.sent_at)).where(*is_sent)).scalar_one()
    jobs = sa.select(Job.kind, now_s() - sa.func.min(Job.sent_at)).where(Job.state == State.SENT).group_by(Job.kind)
    rows = connection.execute(jobs.where(is_one_of(Job.run_id, active)))
    found = {str(kind): max(0.0, age_s) for kind, age_s in rows}
    return {**found, PREPROCESS: max([0.0, sent_s or 0.0, *(active[run] for run in waiting[State.WAITING])])}


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
