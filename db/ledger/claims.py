"""The worker's side of the ledger: claim before anything is opened, renew while working, settle once.

A claim is a fence number and a lease. Whoever lost the lease finds another fence on the row, and its writes touch
nothing.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.bulk import insert_missing
from db.engine import Database, now_s
from db.id_lists import is_one_of
from db.ledger.discovery import FoundFile, keep_found
from db.ledger.losses import record_losses
from db.ledger.presence import note_progress
from db.ledger.transitions import Locked, Worked, count, insert, lock, lock_in_runs, move, move_each
from db.named_rows import rows_as
from db.schema.tables import (
    ATTEMPTS,
    IS_ITS_STRIP,
    RETRIES,
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
from domain.reasons import CANCELLED, Reason, ReasonCode, columns_of
from domain.results import JobOutput, to_json
from domain.retry import Cause, Event, Wait, decide
from domain.states import CLAIMABLE, RunState, State


@dataclass(frozen=True)
class ItemClaim:
    """The exclusive right to preprocess one span, and all that is needed to do it."""

    id: int
    fence: int
    root: str
    uri: str
    digest: str
    """"" where the recording was planned on trust and nobody has read it yet."""
    size_bytes: int
    mtime_ns: int
    span: int
    copy: int
    pipeline_id: int
    pipeline: str = field(repr=False)
    """Its preset's values, in JSON."""
    is_on_trust: bool
    is_made: bool
    """The strip stands in the store already: another run made it."""


@dataclass(frozen=True)
class JobClaim:
    """The exclusive right to do one job."""

    id: int
    fence: int
    run: int
    kind: str
    model: str | None
    seed: int | None
    fold: int | None
    subset: int | None
    pipeline_id: int | None
    variant: str | None


@dataclass(frozen=True)
class StripFacts:
    """A strip that stands in the store."""

    key: str
    size_bytes: int
    sha256: str
    n_chunks: int
    found: FoundFile | None = None
    """The recording's file, where it was planned on trust and this is its first span."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: done, quarantined, failed, waiting for the next one, or cancelled: no longer wanted."""

    claim: ItemClaim
    state: State
    reason: Reason | None = None
    strip: StripFacts | None = None
    worked_s: float = 0.0

    @property
    def found(self) -> FoundFile | None:
        """What was found out about a file planned on trust."""
        return self.strip.found if self.strip else None

    @property
    def digest(self) -> str:
        """Of the recording's bytes, as planned or as found."""
        return self.found.digest if self.found else self.claim.digest


@dataclass(frozen=True)
class Ledger:
    """What one process of a worker may ask of the ledger; every write is one transaction."""

    database: Database
    worker: str
    lease_s: float
    process: int = field(default_factory=os.getpid)
    """The child process that claims; or the dead one, when its parent records the crash."""

    def claim_items(self, run: int, ids: Sequence[int]) -> list[ItemClaim]:
        """Those of the items that nobody holds and whose run is active, committed before any file is opened."""
        with self.database.write() as connection:
            rows = self._claim(connection, Item, run, ids)
            return _item_claims(connection, rows)

    def claim_job(self, run: int, job: int, kind: str) -> JobClaim | None:
        """The job, unless somebody holds it, it is no longer wanted, or it is of another kind."""
        with self.database.write() as connection:
            if not self._claim(connection, Job, run, [job], Job.kind == kind):
                return None
            columns: tuple[Any, ...] = (
                Job.id, Job.fence, Job.run_id.label("run"), Job.kind, Job.model, Job.seed, Job.fold, Job.subset,
                Job.pipeline_id, Job.variant,
            )  # fmt: skip
            [claim] = rows_as(JobClaim, connection.execute(sa.select(*columns).where(Job.id == job)))
            return claim

    def _claim(
        self, connection: Connection, table: Worked, run: int, ids: Sequence[int], *where: sa.ColumnElement[bool]
    ) -> list[Locked]:
        is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists()
        is_free = (is_one_of(table.id, ids), table.run_id == run, table.state.in_(CLAIMABLE), is_active)
        rows = lock(connection, table, *is_free, *where)
        move(
            connection, table, rows, State.RUNNING,
            attempts=table.attempts + 1, fence=table.fence + 1, lease_until=now_s() + self.lease_s,
            worker=self.worker, process=self.process, started_at=now_s(), **columns_of(None),
        )  # fmt: skip
        count(connection, {(run, ATTEMPTS): len(rows)})
        return rows

    def renew(self, claims: Iterable[ItemClaim | JobClaim]) -> frozenset[int]:
        """Prolongs the leases; returns the ids of the claims still held. A cancelled run's are no longer."""
        held: set[int] = set()
        with self.database.write() as connection:
            for claim in claims:
                table: Worked = Item if isinstance(claim, ItemClaim) else Job
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
        """Writes what became of the claims, for those still held; returns their number."""
        by_id = {outcome.claim.id: outcome for outcome in outcomes}
        with self.database.write() as connection:
            ends = {outcome.state for outcome in outcomes}
            if any(outcome.claim.is_made or outcome.found for outcome in outcomes):
                ends.add(State.WAITING)  # a strip may have been taken out, further spans may have been found
            rows, cancelled = _held(connection, Item, ends, is_one_of(Item.id, by_id), Item.state == State.RUNNING)
            held = [row for row in rows if row.fence == by_id[row.id].claim.fence]
            found = [(row.id, file) for row in held if (file := by_id[row.id].found)]
            changed = keep_found(connection, found, cancelled)
            by_id.update((item, _other_bytes(by_id[item])) for item in changed)
            _keep_strips(connection, [by_id[row.id] for row in held])
            by_id.update((item, _strip_gone(by_id[item])) for item in _without_strip(connection, held, by_id))
            now = connection.execute(sa.select(now_s())).scalar_one()
            move_each(connection, Item, [_settled_item(row, by_id[row.id], now, cancelled) for row in held])
            count(connection, Counter((row.run, RETRIES) for row in held if by_id[row.id].state == State.WAITING))
            note_progress(connection, self.worker)
        return len(held)

    def settle_job(
        self, claim: JobClaim, state: State, reason: Reason | None = None, output: JobOutput | None = None
    ) -> bool:
        """Writes how the attempt ended, and of a done job its result and its files; False without the claim.

        A job given up because its run was cancelled waits again when the run has been resumed in the meantime.
        """
        with self.database.write() as connection:
            rows, cancelled = _held(connection, Job, {state}, *_is_its_job(claim))
            now = connection.execute(sa.select(now_s())).scalar_one()
            move_each(connection, Job, [_settled(row, state, reason, now, cancelled) for row in rows])
            count(connection, Counter((row.run, RETRIES) for row in rows if state == State.WAITING))
            if rows and output is not None:
                _keep_output(connection, claim.id, output)
            note_progress(connection, self.worker)
        return bool(rows)

    def write_metrics(self, claim: JobClaim, epoch: int, values: dict[str, float]) -> None:
        """Figures of one epoch (0: of the whole job); written again, they replace the old ones."""
        with self.database.write() as connection:
            if not _own_job(connection, claim):
                return
            statement = insert(connection, Metric)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["job_id", "epoch", "name"], set_={"value": statement.excluded.value}
                ),
                [{"job_id": claim.id, "epoch": epoch, "name": name, "value": value} for name, value in values.items()],
            )
            note_progress(connection, self.worker)

    def note_step_forward(self, claim: JobClaim) -> None:
        """What this job has done so far is kept for whoever goes on: what counts against it starts again.

        Only what was never done before is a step forward, or a job that fails again and again would never be given
        up. The run's counters keep what was met.
        """
        with self.database.write() as connection:
            if _own_job(connection, claim):
                connection.execute(sa.update(Job).where(Job.id == claim.id).values(crashes=0, lost_claims=0, faults=0))

    def forget_metrics(self, claim: JobClaim) -> None:
        """An attempt that starts from the beginning starts its curves anew."""
        with self.database.write() as connection:
            if _own_job(connection, claim):
                connection.execute(sa.delete(Metric).where(Metric.job_id == claim.id))

    def record_item_crash(self, ids: Sequence[int], *, is_own: bool, reason: str) -> None:
        """The process that held these items died. is_own: by a signal of its own making, or at the time limit."""
        with self.database.write() as connection:
            rows, cancelled = lock_in_runs(connection, Item, is_one_of(Item.id, ids), *self._is_ours(Item), waits=True)
            record_losses(connection, Item, rows, cancelled, _crash(reason, len(rows), is_own=is_own))

    def record_job_crash(self, job: int, *, is_own: bool, reason: str) -> None:
        """The process that held this job died."""
        with self.database.write() as connection:
            rows, cancelled = lock_in_runs(connection, Job, Job.id == job, *self._is_ours(Job), waits=True)
            record_losses(connection, Job, rows, cancelled, _crash(reason, 1, is_own=is_own))

    def _is_ours(self, table: Worked) -> tuple[sa.ColumnElement[bool], ...]:
        """Claimed by this very process: what another child of the worker has taken since is none of its own."""
        return table.state == State.RUNNING, table.worker == self.worker, table.process == self.process


def _keep_output(connection: Connection, job: int, output: JobOutput) -> None:
    values = {"result": to_json(output.result), "device": output.device}
    connection.execute(sa.update(Job).where(Job.id == job).values(**values))
    connection.execute(sa.delete(JobFile).where(JobFile.job_id == job))
    rows = {file.key: {"job_id": job, **asdict(file)} for file in output.files}
    if rows:
        connection.execute(sa.insert(JobFile), list(rows.values()))


def _crash(sentence: str, n_together: int, *, is_own: bool) -> Event:
    code = ReasonCode.CRASHED_WORKER if is_own and n_together == 1 else ReasonCode.WORKER_LOST
    return Event(Cause.CRASH if is_own else Cause.KILL, Reason(code, sentence), n_together)


def _is_its_job(claim: JobClaim) -> tuple[sa.ColumnElement[bool], ...]:
    return Job.id == claim.id, Job.fence == claim.fence, Job.state == State.RUNNING


def _own_job(connection: Connection, claim: JobClaim) -> list[Locked]:
    return lock(connection, Job, *_is_its_job(claim), waits=True)


_PUT_BACK = frozenset({State.WAITING, State.CANCELLED})
"""Ends of an attempt that are no end: what becomes of the row depends on its run."""


def _held(
    connection: Connection, table: Worked, ends: Collection[State], *where: sa.ColumnElement[bool]
) -> tuple[list[Locked], frozenset[int]]:
    """The rows, and which of their runs are cancelled: asked only where an attempt ends without a result."""
    if _PUT_BACK.isdisjoint(ends):
        return lock(connection, table, *where, waits=True), frozenset()
    return lock_in_runs(connection, table, *where, waits=True)


def _item_claims(connection: Connection, rows: Sequence[Locked]) -> list[ItemClaim]:
    is_made = sa.select(Artifact.id).where(IS_ITS_STRIP).exists()
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


def _keep_strips(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    names = ("recording_digest", "span", "copy", "pipeline_id", "key", "size_bytes", "sha256", "n_chunks")
    rows = [
        (
            outcome.digest, outcome.claim.span, outcome.claim.copy, outcome.claim.pipeline_id,
            strip.key, strip.size_bytes, strip.sha256, strip.n_chunks,
        )
        for outcome in outcomes
        if (strip := outcome.strip) is not None
    ]  # fmt: skip
    insert_missing(connection, Artifact, names, rows)


def _without_strip(connection: Connection, held: Sequence[Locked], by_id: Mapping[int, Outcome]) -> set[int]:
    """Items said to be done whose strip stands in no row: it was taken out since they were claimed.

    A strip that is there stays until this transaction ends, so that whoever takes it out finds the item done.
    """
    said = {row.id for row in held if by_id[row.id].state == State.DONE}
    query = (
        sa.select(Item.id)
        .join(Recording, Recording.id == Item.recording_id)
        .join(Artifact, IS_ITS_STRIP)
        .where(is_one_of(Item.id, said))
        .with_for_update(read=True, of=Artifact)
    )
    return said - set(connection.scalars(query)) if said else said


_STRIP_REMOVED = Reason(ReasonCode.STRIP_REMOVED, "its strip was taken out of the ledger meanwhile")


def _strip_gone(outcome: Outcome) -> Outcome:
    return Outcome(outcome.claim, State.WAITING, _STRIP_REMOVED)


def _other_bytes(outcome: Outcome) -> Outcome:
    reason = Reason(ReasonCode.CHANGED, "changed since it was planned: another worker read other bytes")
    return Outcome(outcome.claim, State.QUARANTINED, reason, worked_s=outcome.worked_s)


def _settled_item(
    row: Locked, outcome: Outcome, now: float, cancelled: frozenset[int]
) -> tuple[Locked, State, dict[str, Any]]:
    row, state, values = _settled(row, outcome.state, outcome.reason, now, cancelled)
    return row, state, {**values, "worked_s": outcome.worked_s}


def _settled(
    row: Locked, state: State, reason: Reason | None, now: float, cancelled: frozenset[int]
) -> tuple[Locked, State, dict[str, Any]]:
    counters, retry_at = row.counters, None
    if state == State.WAITING:
        fault = Event(Cause.FAULT, reason or _UNEXPLAINED)
        decision = decide(counters, fault, random.random())  # noqa: S311  # no secret
        counters = counters.after(fault)
        if isinstance(decision, Wait):
            retry_at = now + decision.pause_s
        else:
            state, reason = State.FAILED, decision.reason
    elif state == State.CANCELLED and row.run not in cancelled:  # its run was resumed in the meantime
        state, reason = State.WAITING, None
    if state in _PUT_BACK and row.run in cancelled:
        state, reason, retry_at = State.CANCELLED, CANCELLED, None
    finished_at = None if state == State.WAITING else now
    values = {"faults": counters.faults, "retry_at": retry_at, "finished_at": finished_at}
    return row, state, {**values, **columns_of(reason)}


_UNEXPLAINED = Reason(ReasonCode.MACHINE_FAULT, "the attempt ended without a reason")
