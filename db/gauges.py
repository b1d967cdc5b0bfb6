"""What a monitor is told of the whole ledger, from what is kept: no question here reads rows item by item.

Quarantines by reason are the exception. They are read run by run, and only of runs whose tally of them has changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.presence import Present, present
from db.session import Database, now_s
from db.states import FINAL, Kind, State
from db.tables import ATTEMPTS, EXPIRIES, Item, Job, Metric, Tally

_MOST_REASONS = 20


@dataclass(frozen=True)
class Measured:
    """The ledger at one moment."""

    items: dict[str, int]
    finished: dict[tuple[str, str], int]
    """By kind (`preprocess`, or a job's) and final state."""
    attempts: int
    lease_expiries: int
    quarantined: dict[str, int]
    oldest_sent_s: dict[str, float]
    """By task: how long what was sent first, and nobody has claimed yet, has been waiting."""
    epochs: dict[tuple[int, str], int]
    """By job and model, of trainings that are under way."""
    workers: tuple[Present, ...]


@dataclass
class Gauges:
    """Measures a ledger again and again; remembers what need not be read twice."""

    database: Database
    _reasons: dict[int, tuple[int, Counter[str]]] = field(default_factory=dict)

    def measured(self) -> Measured:
        """The ledger now. Raises DatabaseUnusable."""
        workers = tuple(present(self.database))
        with self.database.read() as connection:
            tally = _tally(connection)
            by_state: Counter[str] = Counter()
            for (_, state), n in tally.items():
                by_state[state] += n
            return Measured(
                items={str(state): by_state[state] for state in State},
                finished=_finished(connection, by_state),
                attempts=by_state[ATTEMPTS],
                lease_expiries=by_state[EXPIRIES],
                quarantined=self._quarantined(connection, tally),
                oldest_sent_s=_oldest_sent(connection, [run for run, state in tally if state == State.SENT]),
                epochs=_epochs(connection),
                workers=workers,
            )

    def _quarantined(self, connection: Connection, tally: dict[tuple[int, str], int]) -> dict[str, int]:
        counted = {run: n for (run, state), n in tally.items() if state == State.QUARANTINED and n}
        self._reasons = {run: self._reasons[run] for run in counted if run in self._reasons}
        for run, n in counted.items():
            if self._reasons.get(run, (0, None))[0] != n:
                self._reasons[run] = n, _reasons(connection, run)
        total = sum((reasons for _, reasons in self._reasons.values()), Counter[str]())
        shown = dict(total.most_common(_MOST_REASONS))
        rest = total.total() - sum(shown.values())
        return {**shown, **({"other": rest} if rest else {})}


def _tally(connection: Connection) -> dict[tuple[int, str], int]:
    query = sa.select(Tally.run_id, Tally.state, sa.func.sum(Tally.n)).group_by(Tally.run_id, Tally.state)
    return {(run, state): int(n) for run, state, n in connection.execute(query)}


def _finished(connection: Connection, items: Counter[str]) -> dict[tuple[str, str], int]:
    query = sa.select(Job.kind, Job.state, sa.func.count()).where(Job.state.in_(FINAL)).group_by(Job.kind, Job.state)
    jobs = {(kind, state): int(n) for kind, state, n in connection.execute(query)}
    return {**{("preprocess", str(state)): items[state] for state in FINAL}, **jobs}


def _reasons(connection: Connection, run: int) -> Counter[str]:
    """The short name of each reason, which stands before its colon."""
    if connection.dialect.name == "sqlite":
        short = sa.func.substr(Item.reason, 1, sa.func.instr(Item.reason.op("||")(":"), ":") - 1)
    else:
        short = sa.func.split_part(Item.reason, ":", 1)
    is_lost = (Item.run_id == run, Item.state == State.QUARANTINED)
    rows = connection.execute(sa.select(short, sa.func.count()).where(*is_lost).group_by(short))
    return Counter({str(reason or "unknown"): int(n) for reason, n in rows})


def _oldest_sent(connection: Connection, runs: list[int]) -> dict[str, float]:
    """Read by the index of run and state: no more than the feeder's window is ever sent."""
    items = sa.select(now_s() - sa.func.min(Item.sent_at)).where(Item.run_id.in_(runs), Item.state == State.SENT)
    jobs = sa.select(Job.kind, now_s() - sa.func.min(Job.sent_at)).where(Job.state == State.SENT).group_by(Job.kind)
    found = {str(kind): age_s for kind, age_s in connection.execute(jobs)}
    found["preprocess"] = connection.execute(items).scalar_one()
    return {task: max(0.0, age_s) for task, age_s in found.items() if age_s is not None}


def _epochs(connection: Connection) -> dict[tuple[int, str], int]:
    """Epochs finished of each training under way."""
    last = sa.func.coalesce(sa.func.max(Metric.epoch), 0)
    query = (
        sa.select(Job.id, Job.model, last)
        .outerjoin(Metric, Metric.job_id == Job.id)
        .where(Job.state == State.RUNNING, Job.kind == Kind.TRAIN)
        .group_by(Job.id, Job.model)
    )
    return {(job, model or ""): int(epoch) for job, model, epoch in connection.execute(query)}
