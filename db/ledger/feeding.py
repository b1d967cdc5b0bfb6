"""The dispatcher's side of the ledger: what to send, what to put back, what is over.

Each function is one short transaction; two dispatchers at once do no harm, because every move is conditional.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.orm import aliased

from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.losses import record_losses
from db.ledger.transitions import Locked, Worked, count, lock, lock_in_runs, move, move_all
from db.named_rows import rows_as
from db.schema.tables import EXPIRIES, LOSSES, Item, Job, Need, Recording, Run, RunCounter
from domain.reasons import CANCELLED, Reason, ReasonCode, columns_of
from domain.retry import Cause, Event
from domain.states import FINAL, OPEN, Kind, RunState, State

MAX_ITEMS_A_MESSAGE = 200
_MOST_AT_ONCE = 2048
"""Items a step takes at most: what a process held once for a moment, it keeps."""
_MOST_PUT_BACK = 20_000
"""In one transaction: a quarter of a second for which nobody else writes to SQLite."""
_ENDED = "its worker ended"
_EXPIRED = Event(Cause.LOSS, Reason(ReasonCode.WORKER_LOST, "its worker stopped answering"))
_PART_OF_REST = 1 / 16
"""A message's part of the work still waiting, so that workers end together."""
_SMALLEST = 1 / 10
"""The smallest message, as a part of the largest."""


@dataclass(frozen=True)
class ItemBatch:
    """Items that share a message."""

    run: int
    items: tuple[int, ...]
    first: str = ""
    """The first item's recording, for people to read."""


@dataclass(frozen=True)
class ReadyJob:
    """A job whose turn has come; it is marked as sent."""

    run: int
    job: int
    kind: str
    what: str = ""
    """Model, fold and seed, for people to read."""


@dataclass(frozen=True)
class ActiveRun:
    """A run to feed, and what of it can be told without reading items: a step that finds nothing to do costs little."""

    id: int
    n_waiting: int
    """Items to be sent."""
    n_open: int
    """Items that are not final yet."""
    has_waiting_job: bool
    has_open_job: bool

    @property
    def is_over(self) -> bool:
        """Nothing of it is open any more."""
        return self.n_open == 0 and not self.has_open_job

    @property
    def has_job_to_try(self) -> bool:
        """A job waits, and no longer for items."""
        return self.n_open == 0 and self.has_waiting_job


def active_runs(database: Database) -> list[ActiveRun]:
    """Runs to feed, oldest first."""
    with database.read() as connection:
        return rows_as(ActiveRun, connection.execute(_ACTIVE_RUNS))


def take_batches(database: Database, run: int, n_messages: int, largest_s: float) -> list[ItemBatch]:
    """Waiting items of a run in at most `n_messages` messages, marked as sent.

    A message holds about `largest_s` seconds of work, and less towards the end of the run: a tenth at least.
    """
    is_ready = [
        Item.run_id == run,
        Item.state == State.WAITING,
        sa.or_(Item.retry_at.is_(None), Item.retry_at <= now_s()),
        sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists(),
    ]
    if not _is_any(database, Item, *is_ready):
        return []
    at_most = min(n_messages * 20, _MOST_AT_ONCE)
    with database.write() as connection:
        rows = lock(connection, Item, *is_ready, limit=at_most)
        sizes = sa.select(Item.id, Item.work_s, Item.is_alone).where(is_one_of(Item.id, [row.id for row in rows]))
        work = [(row.id, row.work_s, row.is_alone) for row in connection.execute(sizes.order_by(Item.id))]
        rest_s = sum(work_s for _, work_s, _ in work) if len(rows) < at_most else math.inf
        batches = batched(work, n_messages, largest_s, rest_s)
        taken = {item for batch in batches for item in batch}
        move(connection, Item, [row for row in rows if row.id in taken], State.SENT, sent_at=now_s())
        named = sa.select(Item.id, Recording.uri).join(Recording, Recording.id == Item.recording_id)
        firsts = connection.execute(named.where(is_one_of(Item.id, [batch[0] for batch in batches])))
        first_of = {row.id: row.uri for row in firsts}
        return [ItemBatch(run, batch, first_of[batch[0]]) for batch in batches]


def batched(
    items: Sequence[tuple[int, float, bool]], n_messages: int, largest_s: float, rest_s: float
) -> list[tuple[int, ...]]:
    """Items (id, seconds of work, alone?) in messages; an item to be alone is. `rest_s`: the run's work still waiting.

    >>> batched([(1, 0.4, False), (2, 0.7, False), (3, 0.1, True), (4, 0.1, False)], 9, 1.0, math.inf)
    [(1, 2), (3,), (4,)]
    >>> batched([(n, 0.05, False) for n in range(9)], 9, 1.0, 0.45)
    [(0, 1), (2, 3), (4, 5), (6, 7), (8,)]
    """
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    filled_s, full_s = 0.0, _size(largest_s, rest_s)
    for item, work_s, is_alone in items:
        if batch and (is_alone or filled_s >= full_s or len(batch) >= MAX_ITEMS_A_MESSAGE):
            batches.append(tuple(batch))
            rest_s -= filled_s
            batch, filled_s, full_s = [], 0.0, _size(largest_s, rest_s)
        if len(batches) == n_messages:
            return batches
        batch.append(item)
        filled_s += full_s if is_alone else work_s
    return [*batches, tuple(batch)] if batch else batches


def _size(largest_s: float, rest_s: float) -> float:
    return max(largest_s * _SMALLEST, min(largest_s, rest_s * _PART_OF_REST))


def take_jobs(
    database: Database, only_run: int | None = None, kinds: Sequence[str] = tuple(Kind), limit: int | None = None
) -> list[ReadyJob]:
    """Jobs whose needs are met, in the order they were planned, marked as sent.

    Every job needs the items of its run to be final, and none of them to have failed: nothing is learnt from a part of
    the data. A report is written all the same.  kinds, limit: only jobs of these kinds, and so many of them.
    """
    needed = aliased(Job)
    is_met = sa.or_(needed.state == State.DONE, sa.and_(Need.even_failed, needed.state.in_(FINAL)))
    unmet = (
        sa.select(Need.job_id).join(needed, needed.id == Need.needs_id).where(Need.job_id == Job.id, ~is_met).exists()
    )
    is_ready = [
        Job.state == State.WAITING,
        Job.kind.in_(kinds),
        ~unmet,
        sa.or_(Job.retry_at.is_(None), Job.retry_at <= now_s()),
        sa.select(Run.id).where(Run.id == Job.run_id, Run.state == RunState.ACTIVE).exists(),
        _n_items(Job.run_id, *OPEN) == 0,
        sa.or_(Job.kind == Kind.RENDER, _n_items(Job.run_id, State.FAILED) == 0),
        *([Job.run_id == only_run] if only_run is not None else []),
    ]
    if not _is_any(database, Job, *is_ready):
        return []
    with database.write() as connection:
        rows = lock(connection, Job, *is_ready, limit=limit)
        move(connection, Job, rows, State.SENT, sent_at=now_s())
        columns = (Job.id, Job.kind, Job.model, Job.variant, Job.fold, Job.seed)
        facts = connection.execute(sa.select(*columns).where(is_one_of(Job.id, [row.id for row in rows])))
        named = {row.id: (row.kind, _spoken(row.model, row.variant, row.fold, row.seed)) for row in facts}
        return [ReadyJob(row.run, row.id, *named[row.id]) for row in rows]


def _spoken(model: str | None, variant: str | None, fold: int | None, seed: int | None) -> str:
    """What tells a job from others of its kind.

    >>> _spoken("cnn", None, 2, 0)
    'cnn, fold 2, seed 0'
    """
    numbers = (f"{name} {n}" for name, n in (("fold", fold), ("seed", seed)) if n is not None and n >= 0)
    return ", ".join([*filter(None, (model, variant)), *numbers])


def _is_any(database: Database, table: Worked, *where: sa.ColumnElement[bool]) -> bool:
    """A look without the write lock: a step that finds nothing to do must not make workers wait."""
    with database.read() as connection:
        return connection.execute(sa.select(table.id).where(*where).limit(1)).first() is not None


def _n_items(run: sa.SQLColumnExpression[int], *states: State) -> sa.ScalarSelect[int]:
    counted = sa.and_(RunCounter.run_id == run, RunCounter.state.in_(states))
    total = sa.cast(sa.func.coalesce(sa.func.sum(RunCounter.n), 0), sa.BigInteger)  # PostgreSQL's sum is a Decimal
    return sa.select(total).where(counted).scalar_subquery()


def _is_any_job(*states: State) -> sa.Exists:
    return sa.select(Job.id).where(Job.run_id == Run.id, Job.state.in_(states)).exists()


_ACTIVE_RUNS = (
    sa.select(
        Run.id, _n_items(Run.id, State.WAITING).label("n_waiting"), _n_items(Run.id, *OPEN).label("n_open"),
        _is_any_job(State.WAITING).label("has_waiting_job"), _is_any_job(*OPEN).label("has_open_job"),
    )
    .where(Run.state == RunState.ACTIVE)
    .order_by(Run.id)
)  # fmt: skip
"""Made once: every step of the dispatcher asks it."""


def put_back_unsent(database: Database, table: Worked, ids: Sequence[int]) -> None:
    """The broker did not take their message: they wait again."""
    with database.write() as connection:
        rows, _ = lock_in_runs(connection, table, is_one_of(table.id, ids), table.state == State.SENT)
        move(connection, table, rows, State.WAITING)


def put_back_stale(database: Database, table: Worked, older_s: float, kinds: Sequence[str] = ()) -> int:
    """What was sent so long ago that its message must be lost; returns the number. Twice in the broker is harmless."""
    is_stale = [table.sent_at < now_s() - older_s, *([Job.kind.in_(kinds)] if table is Job else [])]
    is_in_its_run = (table.run_id == Run.id, table.state == State.SENT, *is_stale)
    lacking = sa.select(Run.id).where(Run.state == RunState.ACTIVE, sa.select(table.id).where(*is_in_its_run).exists())
    with database.read() as connection:
        runs = connection.scalars(lacking.order_by(Run.id)).all()
    return sum(_put_back_stale(database, table, run, is_stale) for run in runs)


def _put_back_stale(database: Database, table: Worked, run: int, is_stale: Sequence[sa.ColumnElement[bool]]) -> int:
    """Those of one run: whoever waits for the lock waits for no other run's."""
    is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).with_for_update(read=True)
    with database.write() as connection:
        if connection.execute(is_active).first() is None:
            return 0
        again = {"state": State.WAITING}
        return move_all(connection, table, run, (State.SENT,), again, *is_stale, limit=_MOST_PUT_BACK)


def put_back_expired(database: Database) -> int:
    """Claims whose lease ran out; returns the number. Their holders find another fence."""
    total = 0
    for table in (Item, Job):
        is_expired = (table.state == State.RUNNING, table.lease_until < now_s())
        if not _is_any(database, table, *is_expired):
            continue
        with database.write() as connection:
            rows, cancelled = lock_in_runs(connection, table, *is_expired, limit=5000)
            record_losses(connection, table, rows, cancelled, _EXPIRED)
            count(connection, Counter((row.run, EXPIRIES) for row in rows))
            total += len(rows)
    return total


def release(database: Database, worker: str, *, is_orderly: bool = False) -> int:
    """What a worker that has ended held; returns the number.

    is_orderly: it was asked to end, as when there are to be fewer workers. That counts against nothing.
    """
    total = 0
    for table in (Item, Job):
        with database.write() as connection:
            # The last condition is always true, and lets SQLite use the index of what is running.
            is_its = (table.state == State.RUNNING, table.worker == worker, table.lease_until > 0)
            rows, cancelled = lock_in_runs(connection, table, *is_its, waits=True)
            if is_orderly:
                _put_back(connection, table, rows, cancelled, **columns_of(Reason(ReasonCode.WORKER_STOPPED, _ENDED)))
            else:
                lost = Event(Cause.LOSS, Reason(ReasonCode.WORKER_LOST, _ENDED))
                record_losses(connection, table, rows, cancelled, lost)
            total += len(rows)
    return total


def begin_again(database: Database) -> None:
    """Everything sent or running waits again: the broker and all workers are known to be gone.

    The run has lost what was running; nothing counts against any of it.
    """
    for table in (Item, Job):
        with database.write() as connection:
            rows, cancelled = lock_in_runs(connection, table, table.state.in_((State.SENT, State.RUNNING)))
            count(connection, Counter((row.run, LOSSES) for row in rows if row.state == State.RUNNING))
            _put_back(connection, table, rows, cancelled)


def _put_back(
    connection: Connection, table: Worked, rows: Sequence[Locked], cancelled: frozenset[int], **values: str | None
) -> None:
    """Without a mark against any of them; what belongs to a cancelled run is over with it."""
    over = [row for row in rows if row.run in cancelled]
    kept = [row for row in rows if row.run not in cancelled]
    move(connection, table, kept, State.WAITING, lease_until=None, **values)
    move(connection, table, over, State.CANCELLED, lease_until=None, finished_at=now_s(), **columns_of(CANCELLED))


def cancel_hopeless(database: Database) -> int:
    """Jobs that need one that failed, or items that failed, are called off, with the reason; returns the number."""
    needed = aliased(Job)
    hopeless = (
        sa.select(Job.id, needed.kind, needed.state)
        .join(Need, Need.job_id == Job.id)
        .join(needed, needed.id == Need.needs_id)
        .where(Job.state == State.WAITING, ~Need.even_failed, needed.state.in_((State.FAILED, State.CANCELLED)))
    )
    total = _cancel(database, _without_all_items(database))
    while True:
        with database.read() as connection:
            found = connection.execute(hopeless).all()
        if not found:
            return total
        total += _cancel(database, {job: _need_failed(kind, state) for job, kind, state in found})


def _need_failed(kind: str, state: str) -> Reason:
    return Reason(ReasonCode.NEED_FAILED, f"needs a {kind} job, which is {state}")


def _without_all_items(database: Database) -> dict[int, Reason]:
    """Jobs, but the report, of runs whose items are final and some failed: these were good, and would be missing."""
    n_failed = _n_items(Run.id, State.FAILED)
    is_lacking = (Run.state == RunState.ACTIVE, n_failed > 0, _n_items(Run.id, *OPEN) == 0)
    why: dict[int, Reason] = {}
    with database.read() as connection:
        for run, n in connection.execute(sa.select(Run.id, n_failed).where(*is_lacking)).all():
            failed = sa.select(Item.reason).where(Item.run_id == run, Item.state == State.FAILED).order_by(Item.id)
            reason = connection.execute(failed.limit(1)).scalar()
            sentence = f"{n} {'item' if n == 1 else 'items'} failed: {reason}; `orchestrator retry {run}` tries again"
            waiting = sa.select(Job.id).where(Job.run_id == run, Job.state == State.WAITING, Job.kind != Kind.RENDER)
            why.update(dict.fromkeys(connection.scalars(waiting), Reason(ReasonCode.ITEMS_FAILED, sentence)))
    return why


def _cancel(database: Database, why: dict[int, Reason]) -> int:
    if not why:
        return 0
    with database.write() as connection:
        rows = lock(connection, Job, is_one_of(Job.id, why), Job.state == State.WAITING)
        for row in rows:
            move(connection, Job, [row], State.CANCELLED, finished_at=now_s(), **columns_of(why[row.id]))
    return len(rows)


def close_runs(database: Database) -> list[int]:
    """Ends the runs in which nothing is open any more; returns those this call ended: one call a run, ever."""
    is_failed = sa.or_(_is_any_job(State.FAILED), _n_items(Run.id, State.FAILED) > 0, _n_items(Run.id, State.DONE) == 0)
    is_over = (Run.state == RunState.ACTIVE, ~_is_any_job(*OPEN), _n_items(Run.id, *OPEN) == 0)
    end = sa.case((is_failed, RunState.FAILED), else_=RunState.DONE)
    with database.write() as connection:
        ended = sa.update(Run).where(*is_over).values(state=end, finished_at=now_s()).returning(Run.id)
        return list(connection.execute(ended).scalars())
