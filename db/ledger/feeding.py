"""Ledger writes of the dispatcher: send waiting work, return lost work to `waiting`, end finished runs.

Each function is one or a few short transactions. Two dispatchers at once do no harm, because every move is conditional.
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
from db.ledger.transitions import LockedRow, WorkTable, count, lock, lock_in_runs, move, move_all
from db.named_rows import rows_as
from db.schema.tables import EXPIRIES, Item, Job, Need, Recording, Run, RunCounter
from domain.frozen_words import LOSSES
from domain.reasons import CANCELLED, Reason, ReasonCode, columns_of
from domain.retry import Cause, Event
from domain.states import FINAL, OPEN, Kind, RunState, State
from domain.work import MAX_ITEMS_PER_MESSAGE

_MOST_AT_ONCE = 2048
"""Maximum number of items per step; limits peak memory, which Python does not return to the OS."""
_MOST_PUT_BACK = 20_000
"""Maximum number of rows per transaction; on SQLite they block other writers for a quarter of a second."""
_ENDED = "its worker ended"
_EXPIRED = Event(Cause.LOSS, Reason(ReasonCode.WORKER_LOST, "its worker stopped answering"))
_PART_OF_REST = 1 / 16
"""Size of a message as a share of the waiting work; small last messages let all workers finish together."""
_SMALLEST = 1 / 10
"""Size of the smallest message as a share of the largest."""


@dataclass(frozen=True)
class ItemBatch:
    """Items that share a message."""

    run: int
    items: tuple[int, ...]
    first: str = ""
    """The first item's recording, shown to users."""


@dataclass(frozen=True)
class ReadyJob:
    """A job whose needs are met; it is marked as sent."""

    run: int
    job: int
    kind: str
    what: str = ""
    """Model, fold and seed, shown to users."""


@dataclass(frozen=True)
class ActiveRun:
    """A run to feed, with facts that need no scan of items, so that a step without work is cheap."""

    id: int
    kind: str
    n_waiting: int
    """Items to be sent."""
    n_open: int
    """Items that are not final yet."""
    has_waiting_job: bool
    has_open_job: bool

    @property
    def is_over(self) -> bool:
        """Whether all its items and jobs are final."""
        return self.n_open == 0 and not self.has_open_job

    @property
    def has_job_to_try(self) -> bool:
        """Whether a job waits and no item is open that it would wait for."""
        return self.n_open == 0 and self.has_waiting_job


def active_runs(database: Database) -> list[ActiveRun]:
    """The active runs, oldest first."""
    with database.read() as connection:
        return rows_as(ActiveRun, connection.execute(_ACTIVE_RUNS))


def take_batches(database: Database, run: int, n_messages: int, largest_s: float) -> list[ItemBatch]:
    """Mark waiting items of a run as sent, and return them in at most `n_messages` messages.

    A message holds about `largest_s` seconds of work, and less towards the end of the run, but at least a tenth of
    that.
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
        # The conditions are checked again under the lock: another dispatcher may have taken some of the items.
        rows = lock(connection, Item, *is_ready, limit=at_most)
        sizes = sa.select(Item.id, Item.work_s, Item.is_alone).where(is_one_of(Item.id, [row.id for row in rows]))
        work = [(row.id, row.work_s, row.is_alone) for row in connection.execute(sizes.order_by(Item.id))]
        # If the limit was reached, more items may be waiting, so this is not the end of the run.
        rest_s = sum(work_s for _, work_s, _ in work) if len(rows) < at_most else math.inf
        batches = make_batches(work, n_messages, largest_s, rest_s)
        taken = {item for batch in batches for item in batch}
        move(connection, Item, [row for row in rows if row.id in taken], State.SENT, sent_at=now_s())
        named = sa.select(Item.id, Recording.uri).join(Recording, Recording.id == Item.recording_id)
        firsts = connection.execute(named.where(is_one_of(Item.id, [batch[0] for batch in batches])))
        first_of = {row.id: row.uri for row in firsts}
        return [ItemBatch(run, batch, first_of[batch[0]]) for batch in batches]


def make_batches(
    items: Sequence[tuple[int, float, bool]], n_messages: int, largest_s: float, rest_s: float
) -> list[tuple[int, ...]]:
    """Divide items (id, seconds of work, alone?) into messages; an item that must be alone gets its own.

    rest_s: the run's work that still waits.
    >>> make_batches([(1, 0.4, False), (2, 0.7, False), (3, 0.1, True), (4, 0.1, False)], 9, 1.0, math.inf)
    [(1, 2), (3,), (4,)]
    >>> make_batches([(n, 0.05, False) for n in range(9)], 9, 1.0, 0.45)
    [(0, 1), (2, 3), (4, 5), (6, 7), (8,)]
    """
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    filled_s, full_s = 0.0, _size(largest_s, rest_s)
    for item, work_s, is_alone in items:
        if batch and (is_alone or filled_s >= full_s or len(batch) >= MAX_ITEMS_PER_MESSAGE):
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
    """Mark jobs whose needs are met as sent, and return them in the order they were planned.

    Every job needs the items of its run to be final and none of them failed, because a model must not be trained on a
    part of the data. A report is written even then.  kinds, limit: only jobs of these kinds, and so many of them.
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
        named = {row.id: (row.kind, _description(row.model, row.variant, row.fold, row.seed)) for row in facts}
        return [ReadyJob(row.run, row.id, *named[row.id]) for row in rows]


def _description(model: str | None, variant: str | None, fold: int | None, seed: int | None) -> str:
    """What distinguishes a job from others of its kind.

    >>> _description("cnn", None, 2, 0)
    'cnn, fold 2, seed 0'
    """
    numbers = (f"{name} {n}" for name, n in (("fold", fold), ("seed", seed)) if n is not None and n >= 0)
    return ", ".join([*filter(None, (model, variant)), *numbers])


def _is_any(database: Database, table: WorkTable, *where: sa.ColumnElement[bool]) -> bool:
    """Check without the write lock, so that a step that finds nothing to do makes no worker wait."""
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
        Run.id, Run.kind, _n_items(Run.id, State.WAITING).label("n_waiting"), _n_items(Run.id, *OPEN).label("n_open"),
        _is_any_job(State.WAITING).label("has_waiting_job"), _is_any_job(*OPEN).label("has_open_job"),
    )
    .where(Run.state == RunState.ACTIVE)
    .order_by(Run.id)
)  # fmt: skip
"""Built once, because every step of the dispatcher runs it."""


def put_back_unsent(database: Database, table: WorkTable, ids: Sequence[int]) -> None:
    """Return the rows to `waiting`, because the broker did not accept their message."""
    with database.write() as connection:
        # The run is locked too, or a cancellation could miss rows that are just returning to waiting.
        rows, _ = lock_in_runs(connection, table, is_one_of(table.id, ids), table.state == State.SENT)
        move(connection, table, rows, State.WAITING)


def put_back_stale(database: Database, table: WorkTable, older_s: float, kinds: Sequence[str] = ()) -> int:
    """Return to `waiting` the rows whose message must be lost, because it was sent long ago; return their number.

    A message that was not lost is harmless: the second claim finds no free row.
    """
    is_stale = [table.sent_at < now_s() - older_s, *([Job.kind.in_(kinds)] if table is Job else [])]
    is_in_its_run = (table.run_id == Run.id, table.state == State.SENT, *is_stale)
    lacking = sa.select(Run.id).where(Run.state == RunState.ACTIVE, sa.select(table.id).where(*is_in_its_run).exists())
    with database.read() as connection:
        runs = connection.scalars(lacking.order_by(Run.id)).all()
    return sum(_put_back_stale(database, table, run, is_stale) for run in runs)


def _put_back_stale(database: Database, table: WorkTable, run: int, is_stale: Sequence[sa.ColumnElement[bool]]) -> int:
    """Put back the rows of one run, in a transaction of its own, so that no lock covers several runs."""
    is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).with_for_update(read=True)
    with database.write() as connection:
        if connection.execute(is_active).first() is None:
            return 0
        again = {"state": State.WAITING}
        return move_all(connection, table, run, (State.SENT,), again, *is_stale, limit=_MOST_PUT_BACK)


def put_back_expired(database: Database) -> int:
    """Take back the claims whose lease has expired; return the number. Their holders find a changed fence or state."""
    total = 0
    for table in (Item, Job):
        is_expired = (table.state == State.RUNNING, table.lease_until < now_s())
        if not _is_any(database, table, *is_expired):
            continue
        with database.write() as connection:
            # The limit keeps the transaction short; the next step of the dispatcher takes the rest.
            rows, cancelled = lock_in_runs(connection, table, *is_expired, limit=5000)
            record_losses(connection, table, rows, cancelled, _EXPIRED)
            count(connection, Counter((row.run, EXPIRIES) for row in rows))
            total += len(rows)
    return total


def release(database: Database, worker: str, *, is_orderly: bool = False) -> int:
    """Take back the claims of a worker that has ended; return the number.

    is_orderly: it was asked to end, as when the number of workers is reduced. Nothing is counted against the rows then.
    """
    total = 0
    for table in (Item, Job):
        with database.write() as connection:
            # The last condition is always true; it lets SQLite use the partial index on running rows.
            is_its = (table.state == State.RUNNING, table.worker == worker, table.lease_until > 0)
            rows, cancelled = lock_in_runs(connection, table, *is_its, waits=True)
            if is_orderly:
                _put_back(connection, table, rows, cancelled, **columns_of(Reason(ReasonCode.WORKER_STOPPED, _ENDED)))
            else:
                lost = Event(Cause.LOSS, Reason(ReasonCode.WORKER_LOST, _ENDED))
                record_losses(connection, table, rows, cancelled, lost)
            total += len(rows)
    return total


def requeue_all(database: Database) -> None:
    """Return everything sent or running to `waiting`, because the broker and all workers have ended.

    Running work counts as lost for the run, but not against its items and jobs.
    """
    for table in (Item, Job):
        with database.write() as connection:
            rows, cancelled = lock_in_runs(connection, table, table.state.in_((State.SENT, State.RUNNING)))
            count(connection, Counter((row.run, LOSSES) for row in rows if row.state == State.RUNNING))
            _put_back(connection, table, rows, cancelled)


def _put_back(
    connection: Connection, table: WorkTable, rows: Sequence[LockedRow], cancelled: frozenset[int], **values: str | None
) -> None:
    """Return the rows to `waiting` without counting a failure; rows of cancelled runs are cancelled."""
    over = [row for row in rows if row.run in cancelled]
    kept = [row for row in rows if row.run not in cancelled]
    move(connection, table, kept, State.WAITING, lease_until=None, **values)
    move(connection, table, over, State.CANCELLED, lease_until=None, finished_at=now_s(), **columns_of(CANCELLED))


def cancel_blocked_jobs(database: Database) -> int:
    """Cancel jobs that need a job or items that failed, with the reason; return the number."""
    needed = aliased(Job)
    blocked = (
        sa.select(Job.id, needed.kind, needed.state)
        .join(Need, Need.job_id == Job.id)
        .join(needed, needed.id == Need.needs_id)
        .where(Job.state == State.WAITING, ~Need.even_failed, needed.state.in_((State.FAILED, State.CANCELLED)))
    )
    total = _cancel(database, _jobs_with_failed_items(database))
    while True:  # a cancelled job blocks those that need it, so repeat until none is found
        with database.read() as connection:
            found = connection.execute(blocked).all()
        if not found:
            return total
        why = {job: f"needs a {kind} job, which is {state}" for job, kind, state in found}
        total += _cancel(database, {job: Reason(ReasonCode.NEED_FAILED, sentence) for job, sentence in why.items()})


def _jobs_with_failed_items(database: Database) -> dict[int, Reason]:
    """Waiting jobs, except reports, of runs whose items are all final and some failed; with the reason.

    The recordings of failed items may be usable; a model trained without them would miss a part of the data.
    """
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
    """End the runs without open items or jobs; return those that this call ended, so each run is returned once."""
    # A run without a single usable recording has failed too.
    is_failed = sa.or_(_is_any_job(State.FAILED), _n_items(Run.id, State.FAILED) > 0, _n_items(Run.id, State.DONE) == 0)
    is_over = (Run.state == RunState.ACTIVE, ~_is_any_job(*OPEN), _n_items(Run.id, *OPEN) == 0)
    end = sa.case((is_failed, RunState.FAILED), else_=RunState.DONE)
    with database.write() as connection:
        # One conditional statement: of two dispatchers only one ends a run.
        ended = sa.update(Run).where(*is_over).values(state=end, finished_at=now_s()).returning(Run.id)
        return list(connection.execute(ended).scalars())
