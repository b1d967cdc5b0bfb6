"""The worker's side of the ledger: claim before anything is opened, renew while working, settle once.

A claim is a fence number and a lease. Whoever lost the lease finds another fence on the row, and its writes touch
nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.bulk import insert_missing
from db.discovery import FoundFile, keep_found
from db.moves import Locked, Worked, count, insert, lock, move, move_each
from db.presence import note_progress
from db.session import Database, now_s
from db.states import CLAIMABLE, MAX_FAULTS, MAX_LOSSES, MAX_OWN_DEATHS, RunState, State
from db.tables import ATTEMPTS, IS_ITS_STRIP, Artifact, Dataset, Item, Job, Metric, Pipeline, Recording, Run

RETRY_PAUSE_S = 2.0
"""Pause before the second attempt after a machine's fault; doubled with each further one, and up to half as long again.

The half is drawn: what failed together does not all come back at the same moment."""


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
    side: int | None
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
    """How an attempt ended: done, quarantined, failed, or waiting for the next one."""

    claim: ItemClaim
    state: State
    reason: str | None = None
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
    """What one worker may ask of the ledger; every write is one transaction."""

    database: Database
    worker: str
    lease_s: float

    def claim_items(self, run: int, ids: Sequence[int]) -> list[ItemClaim]:
        """Those of the items that nobody holds and whose run is active, committed before any file is opened."""
        with self.database.write() as connection:
            rows = self._claim(connection, Item, run, ids)
            return _item_claims(connection, rows)

    def claim_job(self, run: int, job: int) -> JobClaim | None:
        """The job, unless somebody holds it or it is no longer wanted."""
        with self.database.write() as connection:
            if not self._claim(connection, Job, run, [job]):
                return None
            columns: tuple[Any, ...] = (
                Job.id, Job.fence, Job.run_id, Job.kind, Job.model, Job.seed, Job.fold, Job.side, Job.pipeline_id,
                Job.variant,
            )  # fmt: skip
            return JobClaim(*connection.execute(sa.select(*columns).where(Job.id == job)).one())

    def _claim(self, connection: Connection, table: Worked, run: int, ids: Sequence[int]) -> list[Locked]:
        is_active = sa.select(Run.id).where(Run.id == run, Run.state == RunState.ACTIVE).exists()
        rows = lock(connection, table, table.id.in_(ids), table.run_id == run, table.state.in_(CLAIMABLE), is_active)
        move(
            connection, table, rows, State.RUNNING,
            attempts=table.attempts + 1, fence=table.fence + 1, lease_until=now_s() + self.lease_s,
            worker=self.worker, started_at=now_s(), reason=None,
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
            rows = lock(connection, Item, Item.id.in_(by_id), Item.state == State.RUNNING, waits=True)
            held = [row for row in rows if row.fence == by_id[row.id].claim.fence]
            changed = keep_found(connection, [(row.id, file) for row in held if (file := by_id[row.id].found)])
            by_id.update((item, _other_bytes(by_id[item])) for item in changed)
            _keep_strips(connection, [by_id[row.id] for row in held])
            now = connection.execute(sa.select(now_s())).scalar_one()
            move_each(connection, Item, [_settled_item(row, by_id[row.id], now) for row in held])
            note_progress(connection, self.worker)
        return len(held)

    def settle_job(
        self, claim: JobClaim, state: State, reason: str | None = None, result: dict[str, Any] | None = None
    ) -> bool:
        """Writes what became of the job; False when somebody else holds it by now.

        A job given up because its run was cancelled waits again when the run has been resumed in the meantime.
        """
        with self.database.write() as connection:
            rows = _own_job(connection, claim)
            if state == State.CANCELLED and not _is_cancelled(connection, claim.run):
                state, reason = State.WAITING, None
            now = connection.execute(sa.select(now_s())).scalar_one()
            move_each(connection, Job, [_settled(row, state, reason, now) for row in rows])
            if rows and result is not None:
                values = {"result": result, "device": result.get("device")}
                connection.execute(sa.update(Job).where(Job.id == claim.id).values(**values))
            note_progress(connection, self.worker)
        return bool(rows)

    def write_metrics(self, claim: JobClaim, epoch: int, values: dict[str, float]) -> None:
        """Figures of one epoch (0: of the whole job); written again, they replace the old ones.

        A job that has finished an epoch has shown that it can be done: what counts against it starts again.
        """
        with self.database.write() as connection:
            if not _own_job(connection, claim):
                return
            connection.execute(sa.update(Job).where(Job.id == claim.id).values(own_deaths=0, losses=0, faults=0))
            statement = insert(connection, Metric)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["job_id", "epoch", "name"], set_={"value": statement.excluded.value}
                ),
                [{"job_id": claim.id, "epoch": epoch, "name": name, "value": value} for name, value in values.items()],
            )
            note_progress(connection, self.worker)

    def forget_metrics(self, claim: JobClaim) -> None:
        """An attempt that starts from the beginning starts its curves anew."""
        with self.database.write() as connection:
            if _own_job(connection, claim):
                connection.execute(sa.delete(Metric).where(Metric.job_id == claim.id))

    def bury_items(self, ids: Sequence[int], *, is_own: bool, reason: str) -> None:
        """The process that held these items died.

        A death of its own making, while one item was alone in the process, counts towards three; an unexplained
        one towards ten. Of several items none is blamed: they come again, one by one.
        """
        with self.database.write() as connection:
            is_ours = (Item.id.in_(ids), Item.state == State.RUNNING, Item.worker == self.worker)
            rows = lock(connection, Item, *is_ours, waits=True)
            bury(connection, Item, rows, is_own=is_own and len(rows) == 1, reason=reason)
            if len(rows) > 1:
                separate(connection, rows)

    def bury_job(self, job: int, *, is_own: bool, reason: str) -> None:
        """The process that held this job died."""
        with self.database.write() as connection:
            is_ours = (Job.id == job, Job.state == State.RUNNING, Job.worker == self.worker)
            bury(connection, Job, lock(connection, Job, *is_ours, waits=True), is_own=is_own, reason=reason)


def _own_job(connection: Connection, claim: JobClaim) -> list[Locked]:
    is_ours = (Job.id == claim.id, Job.fence == claim.fence, Job.state == State.RUNNING)
    return lock(connection, Job, *is_ours, waits=True)


def _is_cancelled(connection: Connection, run: int) -> bool:
    return connection.execute(sa.select(Run.state).where(Run.id == run)).scalar_one() == RunState.CANCELLED


def _item_claims(connection: Connection, rows: Sequence[Locked]) -> list[ItemClaim]:
    is_made = sa.select(Artifact.id).where(IS_ITS_STRIP).exists()
    query = (
        sa.select(
            Item.id, Item.fence, Dataset.root, Recording.uri, Recording.digest, Recording.size_bytes,
            Recording.mtime_ns, Item.span, Item.copy, Item.pipeline_id, sa.cast(Pipeline.parameters, sa.Text),
            Recording.is_on_trust, is_made,
        )
        .join(Recording, Recording.id == Item.recording_id)
        .join(Dataset, Dataset.id == Recording.dataset_id)
        .join(Pipeline, Pipeline.id == Item.pipeline_id)
        .where(Item.id.in_([row.id for row in rows]))
        .order_by(Item.id)
    )  # fmt: skip
    return [ItemClaim(*tuple(row)) for row in connection.execute(query)]


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


def _other_bytes(outcome: Outcome) -> Outcome:
    reason = "changed since it was planned: another worker read other bytes"
    return Outcome(outcome.claim, State.QUARANTINED, reason, worked_s=outcome.worked_s)


def _settled_item(row: Locked, outcome: Outcome, now: float) -> tuple[Locked, State, dict[str, Any]]:
    row, state, values = _settled(row, outcome.state, outcome.reason, now)
    return row, state, {**values, "worked_s": outcome.worked_s}


def _settled(row: Locked, state: State, reason: str | None, now: float) -> tuple[Locked, State, dict[str, Any]]:
    faults = row.faults + (state == State.WAITING)
    if state == State.WAITING and faults >= MAX_FAULTS:
        state, reason = State.FAILED, f"given up after {faults} attempts: {reason}"
    is_waiting = state == State.WAITING
    pause_s = RETRY_PAUSE_S * 2 ** (faults - 1) * random.uniform(1.0, 1.5)  # noqa: S311  # no secret
    retry_at = now + pause_s if is_waiting else None
    finished_at = None if is_waiting else now
    return row, state, {"reason": reason, "faults": faults, "retry_at": retry_at, "finished_at": finished_at}


def bury(connection: Connection, table: Worked, rows: Sequence[Locked], *, is_own: bool, reason: str) -> None:
    """What died with its process, or lost its lease: back to waiting, or given up when it was once too often."""
    end = State.QUARANTINED if table is Item else State.FAILED
    move_each(connection, table, [_buried(row, reason, end, is_blamed=is_own) for row in rows])


def separate(connection: Connection, rows: Sequence[Locked]) -> None:
    """Has these items come again one by one: whichever of them ends or holds up its process, the others are done."""
    connection.execute(sa.update(Item).where(Item.id.in_([row.id for row in rows])).values(is_alone=True))


def _buried(row: Locked, reason: str, end: State, *, is_blamed: bool) -> tuple[Locked, State, dict[str, Any]]:
    own_deaths, losses = row.own_deaths + is_blamed, row.losses + (not is_blamed)
    values = {"own_deaths": own_deaths, "losses": losses}
    if own_deaths >= MAX_OWN_DEATHS:
        return row, end, {**values, "reason": f"ended its process {own_deaths} times: {reason}"}
    if losses >= MAX_LOSSES:
        return row, end, {**values, "reason": f"lost its worker {losses} times: {reason}"}
    return row, State.WAITING, {**values, "reason": reason}
