"""The worker's side of the ledger: claim before any file is opened, renew while working, settle once.

A claim is a fence number and a lease. Each new claim of a row raises its fence, and every write compares the fence:
a worker that lost its claim changes no row.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.bulk import insert_missing
from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.discovery import FoundFile, record_found
from db.ledger.losses import record_losses
from db.ledger.presence import note_progress
from db.ledger.transitions import LockedRow, WorkTable, count, insert, lock, lock_in_runs, move, move_each
from db.named_rows import rows_as
from db.schema.tables import (
    ATTEMPTS,
    IS_ITS_STRIP,
    JOB_FACTS,
    Artifact,
    Dataset,
    Item,
    Job,
    JobFile,
    Metric,
    Pipeline,
    Recording,
    Run,
)
from domain.frozen_words import RETRIES
from domain.notes import Notes
from domain.reasons import CANCELLED, Reason, ReasonCode, columns_of
from domain.results import JobOutput, to_json
from domain.retry import Cause, Event, Wait, decide
from domain.states import CLAIMABLE, RunState, State
from domain.work import JobFacts


@dataclass(frozen=True)
class ItemClaim:
    """The exclusive right to preprocess one span, with everything needed to do so."""

    id: int
    fence: int
    root: str
    uri: str
    digest: str
    """"" if the recording was planned on trust and no worker has read it yet."""
    size_bytes: int
    mtime_ns: int
    span: int
    copy: int
    pipeline_id: int
    pipeline: str = field(repr=False)
    """The preset's values, in JSON."""
    is_on_trust: bool
    is_made: bool
    """Whether the strip is in the store already, made by another run."""


@dataclass(frozen=True)
class JobClaim(JobFacts):
    """The exclusive right to do one job."""

    fence: int
    run: int


@dataclass(frozen=True)
class StripFacts:
    """A strip that is in the store."""

    key: str
    size_bytes: int
    sha256: str
    n_chunks: int
    notes: Notes = field(default_factory=dict)
    found: FoundFile | None = None
    """The recording's file; set for the first span of a recording planned on trust."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. WAITING: it is retried. CANCELLED: its result is no longer wanted."""

    claim: ItemClaim
    state: State
    reason: Reason | None = None
    strip: StripFacts | None = None
    worked_s: float = 0.0

    @property
    def found(self) -> FoundFile | None:
        """The file as this worker found it; None unless it was planned on trust."""
        return self.strip.found if self.strip else None

    @property
    def digest(self) -> str:
        """SHA-256 of the recording's bytes, as planned or as found."""
        return self.found.digest if self.found else self.claim.digest


@dataclass(frozen=True)
class Ledger:
    """The ledger as one process of a worker uses it; every write is one transaction."""

    database: Database
    worker: str
    lease_s: float
    process: int = field(default_factory=os.getpid)
    """The child process that claims; in the parent, the dead child whose crash it records."""

    def claim_items(self, run: int, ids: Sequence[int]) -> list[ItemClaim]:
        """Claim the items that are free and whose run is active; commits before any file is opened."""
        with self.database.write() as connection:
            rows = self._claim(connection, Item, run, ids)
            return _item_claims(connection, rows)

    def claim_job(self, run: int, job: int, kind: str) -> JobClaim | None:
        """Claim the job; None if it is not free, its run is not active, or it is of another kind."""
        with self.database.write() as connection:
            if not self._claim(connection, Job, run, [job], Job.kind == kind):
                return None
            query = sa.select(*JOB_FACTS, Job.fence, Job.run_id.label("run")).where(Job.id == job)
            [claim] = rows_as(JobClaim, connection.execute(query))
            return claim

    def _claim(
        self, connection: Connection, table: WorkTable, run: int, ids: Sequence[int], *where: sa.ColumnElement[bool]
    ) -> list[LockedRow]:
        # Asked in the statement that claims: a message may arrive after its run was paused or cancelled.
        is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists()
        # Rows that another transaction has locked are skipped, not waited for: its worker is claiming them.
        is_free = (is_one_of(table.id, ids), table.run_id == run, table.state.in_(CLAIMABLE), is_active)
        rows = lock(connection, table, *is_free, *where)
        # The attempt is counted before the work begins: a recording that kills its process must not look untried.
        move(
            connection, table, rows, State.RUNNING,
            attempts=table.attempts + 1, fence=table.fence + 1, lease_until=now_s() + self.lease_s,
            worker=self.worker, process=self.process, started_at=now_s(), **columns_of(None),
        )  # fmt: skip
        count(connection, {(run, ATTEMPTS): len(rows)})
        return rows

    def renew(self, claims: Iterable[ItemClaim | JobClaim]) -> frozenset[int]:
        """Extend the leases; return the ids of the claims still held. Claims of a cancelled run are not extended."""
        held: set[int] = set()
        with self.database.write() as connection:
            for claim in claims:
                table: WorkTable = Item if isinstance(claim, ItemClaim) else Job
                # A claim that is not renewed makes its worker stop: this is how a cancellation reaches running work.
                wanted = sa.select(Run.id).where(Run.id == table.run_id, Run.state != RunState.CANCELLED).exists()
                renewed = connection.execute(
                    sa.update(table)
                    .where(table.id == claim.id, table.fence == claim.fence, table.state == State.RUNNING, wanted)
                    .values(lease_until=now_s() + self.lease_s)
                )
                if renewed.rowcount == 1:
                    held.add(claim.id)
        return frozenset(held)

    def settle_items(self, outcomes: Sequence[Outcome]) -> int:
        """Record how the attempts ended, for the claims still held; return their number.

        The order of the steps matters. What was found out about recordings comes first, because it may change outcomes
        and gives strips their digest. Strip rows come before the check that each strip has one.
        """
        by_id = {outcome.claim.id: outcome for outcome in outcomes}
        with self.database.write() as connection:
            ends = {outcome.state for outcome in outcomes}
            if any(outcome.claim.is_made or outcome.found for outcome in outcomes):
                # Strips may have been removed meanwhile, and new spans start waiting: both need the runs' states.
                ends.add(State.WAITING)
            rows, cancelled = _lock_held(connection, Item, ends, is_one_of(Item.id, by_id), Item.state == State.RUNNING)
            # The fence decides: another worker may have claimed the row after this one's lease ended.
            held = [row for row in rows if row.fence == by_id[row.id].claim.fence]
            found = [(row.id, file) for row in held if (file := by_id[row.id].found)]
            changed = record_found(connection, found, cancelled)
            for item in changed:
                by_id[item] = replace(by_id[item], state=State.QUARANTINED, reason=_OTHER_BYTES, strip=None)
            _record_strips(connection, [by_id[row.id] for row in held])
            for item in _without_strip(connection, held, by_id):
                by_id[item] = Outcome(by_id[item].claim, State.WAITING, _STRIP_REMOVED)
            now = connection.execute(sa.select(now_s())).scalar_one()
            targets = []
            for row in held:
                outcome = by_id[row.id]
                _, state, values = _next_state(row, outcome.state, outcome.reason, now, cancelled)
                targets.append((row, state, {**values, "worked_s": outcome.worked_s}))
            move_each(connection, Item, targets)
            count(connection, Counter((row.run, RETRIES) for row in held if by_id[row.id].state == State.WAITING))
            note_progress(connection, self.worker)
        return len(held)

    def settle_job(
        self, claim: JobClaim, state: State, reason: Reason | None = None, output: JobOutput | None = None
    ) -> bool:
        """Record how the attempt ended and, for a finished job, its result and files; False if the claim was lost.

        A job that stopped because its run was cancelled waits again if the run was resumed meanwhile.
        """
        with self.database.write() as connection:
            rows, cancelled = _lock_held(connection, Job, {state}, *_is_its_job(claim))
            now = connection.execute(sa.select(now_s())).scalar_one()
            move_each(connection, Job, [_next_state(row, state, reason, now, cancelled) for row in rows])
            count(connection, Counter((row.run, RETRIES) for row in rows if state == State.WAITING))
            if rows and output is not None:  # in this transaction: no job is done without the rows of its files
                _record_output(connection, claim.id, output)
            note_progress(connection, self.worker)
        return bool(rows)

    def write_metrics(self, claim: JobClaim, epoch: int, values: dict[str, float]) -> None:
        """Write the figures of one epoch (0: of the whole job), replacing those written before."""
        with self.database.write() as connection:
            if not _own_job(connection, claim):  # another worker writes these figures now
                return
            statement = insert(connection, Metric)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["job_id", "epoch", "name"], set_={"value": statement.excluded.value}
                ),
                [{"job_id": claim.id, "epoch": epoch, "name": name, "value": value} for name, value in values.items()],
            )
            note_progress(connection, self.worker)

    def reset_failure_counts(self, claim: JobClaim) -> None:
        """Set the job's counts of crashes, lost claims and faults to zero, after progress that the next attempt keeps.

        Call it only for progress beyond all earlier attempts: otherwise a job that always fails at the same step would
        be retried for ever. The run's counters keep every failure.
        """
        with self.database.write() as connection:
            if _own_job(connection, claim):
                connection.execute(sa.update(Job).where(Job.id == claim.id).values(crashes=0, lost_claims=0, faults=0))

    def delete_metrics(self, claim: JobClaim) -> None:
        """Delete the job's figures, for an attempt that starts from the beginning."""
        with self.database.write() as connection:
            if _own_job(connection, claim):
                connection.execute(sa.delete(Metric).where(Metric.job_id == claim.id))

    def record_item_crash(self, ids: Sequence[int], *, is_own: bool, reason: str) -> None:
        """Record that the process which held these items died.

        is_own: it died from a signal that its own code caused, or at its time limit.
        """
        with self.database.write() as connection:
            # Wait for locks: skipping a row would leave its crash uncounted.
            rows, cancelled = lock_in_runs(connection, Item, is_one_of(Item.id, ids), *self._is_ours(Item), waits=True)
            record_losses(connection, Item, rows, cancelled, _crash_event(reason, len(rows), is_own=is_own))

    def record_job_crash(self, job: int, *, is_own: bool, reason: str) -> None:
        """Record that the process which held this job died; is_own as in `record_item_crash`."""
        with self.database.write() as connection:
            rows, cancelled = lock_in_runs(connection, Job, Job.id == job, *self._is_ours(Job), waits=True)
            record_losses(connection, Job, rows, cancelled, _crash_event(reason, 1, is_own=is_own))

    def _is_ours(self, table: WorkTable) -> tuple[sa.ColumnElement[bool], ...]:
        """Claimed by this process; rows that another child of the worker has claimed since are excluded."""
        return table.state == State.RUNNING, table.worker == self.worker, table.process == self.process


def _record_output(connection: Connection, job: int, output: JobOutput) -> None:
    values = {"result": to_json(output.result), "device": output.device}
    connection.execute(sa.update(Job).where(Job.id == job).values(**values))
    # A job that is done again replaces its files' rows; the same key may be named twice, the row holds it once.
    connection.execute(sa.delete(JobFile).where(JobFile.job_id == job))
    rows = {file.key: {"job_id": job, **asdict(file)} for file in output.files}
    if rows:
        connection.execute(sa.insert(JobFile), list(rows.values()))


def _crash_event(sentence: str, n_together: int, *, is_own: bool) -> Event:
    # With several items in one process, no one knows which of them caused the crash.
    code = ReasonCode.CRASHED_WORKER if is_own and n_together == 1 else ReasonCode.WORKER_LOST
    return Event(Cause.CRASH if is_own else Cause.KILL, Reason(code, sentence), n_together)


def _is_its_job(claim: JobClaim) -> tuple[sa.ColumnElement[bool], ...]:
    return Job.id == claim.id, Job.fence == claim.fence, Job.state == State.RUNNING


def _own_job(connection: Connection, claim: JobClaim) -> list[LockedRow]:
    return lock(connection, Job, *_is_its_job(claim), waits=True)


_PUT_BACK = frozenset({State.WAITING, State.CANCELLED})
"""Ends of an attempt after which the row's next state depends on whether its run is cancelled."""


def _lock_held(
    connection: Connection, table: WorkTable, ends: Collection[State], *where: sa.ColumnElement[bool]
) -> tuple[list[LockedRow], frozenset[int]]:
    """Lock the rows; return them, and which of their runs are cancelled.

    A finished attempt needs no run's state, so the usual path saves that query and the locks on runs.
    """
    if _PUT_BACK.isdisjoint(ends):
        return lock(connection, table, *where, waits=True), frozenset()
    return lock_in_runs(connection, table, *where, waits=True)


def _item_claims(connection: Connection, rows: Sequence[LockedRow]) -> list[ItemClaim]:
    # The worker that computes the first span of a recording on trust adds the further spans to this run.
    is_made = sa.and_(
        sa.select(Artifact.id).where(IS_ITS_STRIP).exists(), sa.or_(~Recording.is_on_trust, Item.span > 0)
    )
    query = (
        sa.select(
            Item.id, Item.fence, Dataset.root, Recording.uri, Recording.digest, Recording.size_bytes,
            Recording.mtime_ns, Item.span, Item.copy, Item.pipeline_id,
            sa.cast(Pipeline.parameters, sa.Text).label("pipeline"), Recording.is_on_trust, is_made.label("is_made"),
        )
        .join(Recording, Recording.id == Item.recording_id)
        .join(Dataset, Dataset.id == Recording.dataset_id)
        .join(Pipeline, Pipeline.id == Item.pipeline_id)
        .where(is_one_of(Item.id, [row.id for row in rows]))
        .order_by(Item.id)
    )  # fmt: skip
    return rows_as(ItemClaim, connection.execute(query))


def _record_strips(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    names = ("recording_digest", "span", "copy", "pipeline_id", "key", "size_bytes", "sha256", "n_chunks", "notes")
    rows = [
        (
            outcome.digest, outcome.claim.span, outcome.claim.copy, outcome.claim.pipeline_id,
            strip.key, strip.size_bytes, strip.sha256, strip.n_chunks,
            json.dumps(strip.notes, sort_keys=True) if strip.notes else None,
        )
        for outcome in outcomes
        if (strip := outcome.strip) is not None
    ]  # fmt: skip
    # Two runs may make the same strip at once; the bytes are the same, so the first row stays.
    insert_missing(connection, Artifact, names, rows)


def _without_strip(connection: Connection, held: Sequence[LockedRow], by_id: Mapping[int, Outcome]) -> set[int]:
    """Items reported as done whose strip has no row: it was removed after they were claimed.

    Strips that have a row stay locked until this transaction ends. A transaction that removes such a strip waits, then
    finds the item done and marks it for regeneration.
    """
    done = {row.id for row in held if by_id[row.id].state == State.DONE}
    query = (
        sa.select(Item.id)
        .join(Recording, Recording.id == Item.recording_id)
        .join(Artifact, IS_ITS_STRIP)
        .where(is_one_of(Item.id, done))
        .with_for_update(read=True, of=Artifact)
    )
    return done - set(connection.scalars(query)) if done else done


_STRIP_REMOVED = Reason(ReasonCode.STRIP_REMOVED, "its strip was removed from the ledger meanwhile")


_OTHER_BYTES = Reason(ReasonCode.CHANGED, "changed since it was planned: another worker read other bytes")


def _next_state(
    row: LockedRow, state: State, reason: Reason | None, now: float, cancelled: frozenset[int]
) -> tuple[LockedRow, State, dict[str, Any]]:
    counters, retry_at = row.counters, None
    if state == State.WAITING:
        fault = Event(Cause.FAULT, reason or _UNEXPLAINED)
        decision = decide(counters, fault, random.random())  # noqa: S311  # a pause is no secret
        counters = counters.after(fault)
        if isinstance(decision, Wait):
            retry_at = now + decision.pause_s
        else:
            state, reason = State.FAILED, decision.reason
    elif state == State.CANCELLED and row.run not in cancelled:  # its run was resumed meanwhile
        state, reason = State.WAITING, None
    if state in _PUT_BACK and row.run in cancelled:
        state, reason, retry_at = State.CANCELLED, CANCELLED, None
    finished_at = None if state == State.WAITING else now
    values = {"faults": counters.faults, "retry_at": retry_at, "finished_at": finished_at}
    return row, state, {**values, **columns_of(reason)}


_UNEXPLAINED = Reason(ReasonCode.MACHINE_FAULT, "the attempt ended without a reason")
