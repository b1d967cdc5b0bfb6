"""The base of all tasks: it claims the work, runs it, and records the outcome.

A task's own module defines the work. This one makes it safe to repeat, interrupt and kill.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from celery import Task
from celery.exceptions import Reject

from db.engine import Database, DatabaseUnusable
from db.ledger import identity
from db.ledger.claims import ItemClaim, JobClaim, Ledger, Outcome, StripFacts
from db.store.interface import OpenLocalFile, Store, open_store
from domain.errors import ChorusError, MachineFault
from domain.reasons import CANCELLED, Reason, ReasonCode
from domain.results import JobOutput, OutputFile
from domain.retry import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    PUT_BACK_PAUSE_S,
    Counters,
    Fail,
    Quarantine,
    decide,
    event_of,
)
from domain.states import State
from domain.stored_file import StoredFile
from settings import Settings
from tasks.runtime.heartbeat import Heartbeat
from tasks.runtime.messages import ItemsMessage, JobMessage, MalformedMessage, UnknownMessage
from tasks.runtime.sources import Sources

_LOG = logging.getLogger("chorus")
_SHOWN = 3
_T = TypeVar("_T")
_NO_ROOM_FOR_A_LIBRARY = "failed to map segment"
_PUTS_AT_ONCE = 4
"""Threads of a child process that write strips to the store; concurrent fsyncs share one journal commit."""
_STATE_OF_DECISION = {Quarantine: State.QUARANTINED, Fail: State.FAILED}


_CLAIM_LOST = Reason(ReasonCode.CANCELLED_BY_USER, "claimed by another worker meanwhile, or its run was cancelled")


class NotDone(ChorusError):
    """The attempt failed. The ledger knows already; this error shows it in the monitor."""


class ClaimLost(ChorusError):
    """Another worker holds the claim now, or the run was cancelled: the result is no longer wanted."""


@dataclass(frozen=True)
class Engine:
    """The database, store and settings of a process."""

    database: Database
    store: Store
    settings: Settings

    def ledger(self, worker: str) -> Ledger:
        """The ledger as used by this worker."""
        return Ledger(self.database, worker, self.settings.lease_s)


@lru_cache(maxsize=1)
def _engine(_pid: int) -> Engine:
    settings = Settings()
    store = open_store(settings.store, settings.cache, settings.cache_bytes, plain_http=settings.is_endpoint_here)
    return Engine(Database(settings.database), store, settings)


def engine() -> Engine:
    """This process's engine; a forked child must not use its parent's connections."""
    return _engine(os.getpid())


@dataclass(frozen=True)
class StripFile:
    """A finished strip that is not in the store yet."""

    facts: StripFacts
    data: bytes


Make = Callable[[ItemClaim, Sources], StripFile]


@dataclass(frozen=True)
class Work:
    """One claimed job, with the database, store and ledger that it needs."""

    claim: JobClaim
    database: Database
    store: Store
    ledger: Ledger
    heartbeat: Heartbeat
    local_file: OpenLocalFile

    def require_claim(self) -> None:
        """Note a step of progress. Raises: ClaimLost if the claim is lost, so that the job stops."""
        self.heartbeat.note_step()
        if self.claim.id not in self.heartbeat.still_held():
            raise ClaimLost(f"job {self.claim.id} is no longer this worker's")


class LedgerTask(Task):  # type: ignore[type-arg]
    """Base of every task."""

    abstract = True
    Request = "tasks.runtime.crashes:LedgerRequest"
    Strategy = "tasks.runtime.crashes:strategy"
    acks_late = True
    acks_on_failure_or_timeout = True
    reject_on_worker_lost = False  # the ledger puts the work back and counts the loss
    ignore_result = True
    throws = (NotDone,)  # already recorded: no traceback in the log

    @property
    def ledger(self) -> Ledger:
        """The ledger as used by this worker."""
        return engine().ledger(self.request.hostname or f"process-{os.getpid()}")

    def _heartbeat(self, claims: Sequence[ItemClaim | JobClaim]) -> Heartbeat:
        return Heartbeat(self.ledger, claims, engine().settings.progress_file)

    def carry_out_items(self, message: dict[str, Any], make: Make) -> None:
        """Claim the message's items, make each strip that is missing, and record all outcomes at once.

        While one strip is written to the store, the next one is made, so the processor does not wait for a disk or a
        network.
        Raises: NotDone if an item failed; Reject for a message of another version.
        """
        wanted = _parsed(ItemsMessage.from_dict, message)
        ledger = self.ledger
        claims = call_with_retries(lambda: ledger.claim_items(wanted.run, wanted.items), ledger.lease_s)
        plain_http = engine().settings.is_endpoint_here
        with (
            self._heartbeat(claims) as held,
            Sources(claims, plain_http=plain_http) as sources,
            ThreadPoolExecutor(_PUTS_AT_ONCE, "put") as putting,
        ):
            begun = [_begin(claim, held, make, sources, putting) for claim in held.steps(claims)]
            outcomes = [ending.result() for ending in held.steps(begun)]
            if outcomes:
                call_with_retries(lambda: ledger.settle_items(outcomes), ledger.lease_s)
        _require_done([f"{o.claim.uri}: {o.reason}" for o in outcomes if o.state != State.DONE], len(outcomes))

    def carry_out_job(self, message: dict[str, Any], do: Callable[[Work], JobOutput]) -> None:
        """Claim the message's job, do it, and record the outcome.

        Raises: NotDone if the job failed; Reject for a message of another version.
        """
        wanted = _parsed(JobMessage.from_dict, message)
        ledger = self.ledger
        claim = call_with_retries(lambda: ledger.claim_job(wanted.run, wanted.job, self.name), ledger.lease_s)
        if claim is None:
            return
        with self._heartbeat([claim]) as held:
            state, reason, output = _attempt_job(lambda: _done(claim, ledger, held, do), claim)
            call_with_retries(lambda: ledger.settle_job(claim, state, reason, output), ledger.lease_s)
        _require_done([] if state == State.DONE else [f"{claim.kind} {claim.model or ''}: {reason}"], 1)


def _parsed(read: Callable[[dict[str, Any]], _T], message: dict[str, Any]) -> _T:
    """The parsed message. Raises: Reject.

    A message of a later version goes back into the queue after a pause; if it was acknowledged already, as for
    trainings, the dispatcher sends it again. A malformed message is rejected for good.
    """
    try:
        return read(message)
    except MalformedMessage as error:
        _LOG.error("%s; it is refused", error)
        raise Reject(str(error), requeue=False) from error
    except UnknownMessage as error:
        _LOG.error("%s; it is put back", error)
        time.sleep(PUT_BACK_PAUSE_S)
        raise Reject(str(error), requeue=True) from error


def _require_done(bad: Sequence[str], n: int) -> None:
    """Raise NotDone with the first reasons if any attempt failed. bad: reasons; n: number of attempts."""
    if bad:
        shown, left = "; ".join(bad[:_SHOWN]), len(bad) - _SHOWN
        raise NotDone(shown + (f"; and {left} more" if left > 0 else "") + (f" ({len(bad)} of {n})" if n > 1 else ""))


def call_with_retries(
    ask: Callable[[], _T],
    within_s: float,
    of: type[OSError] = DatabaseUnusable,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """Return what `ask` returns; repeat it with growing pauses while it raises `of`.

    A restart of the database thus costs no finished work. The pauses are random, so that workers that lost the same
    server do not all return at the same moment.
    Raises: the last `of` after `within_s` seconds of pauses; a FileNotFoundError at once, because waiting does not
    help.
    """
    pause_s, waited_s = FIRST_PAUSE_S, 0.0
    while True:
        try:
            return ask()
        except of as error:
            if waited_s >= within_s or isinstance(error, FileNotFoundError):
                raise
            _LOG.warning("%s; trying again", error)
            drawn_s = random.uniform(pause_s / 2, pause_s)  # noqa: S311  # no secret
            sleep(drawn_s)
            waited_s, pause_s = waited_s + drawn_s, min(2 * pause_s, LONGEST_PAUSE_S)


def _begin(
    claim: ItemClaim, held: Heartbeat, make: Make, sources: Sources, putting: ThreadPoolExecutor
) -> Future[Outcome]:
    """Make the claim's strip and start writing it to the store; the future holds the outcome."""
    if claim.id not in held.ids:
        return _resolved(Outcome(claim, State.CANCELLED, _CLAIM_LOST))
    if claim.is_made:
        return _resolved(Outcome(claim, State.DONE))
    began_s = time.perf_counter()
    made = _attempt(claim, lambda: make(claim, sources))
    worked_s = time.perf_counter() - began_s
    if isinstance(made, Outcome):
        return _resolved(replace(made, worked_s=worked_s))
    return putting.submit(_attempt, claim, lambda: _stored(claim, made, worked_s))


def _resolved(outcome: Outcome) -> Future[Outcome]:
    ending: Future[Outcome] = Future()
    ending.set_result(outcome)
    return ending


def own_store() -> Store:
    """This process's store, after a check that it is the ledger's. Raises: StoreUnreachable if it is not."""
    return _own_store(os.getpid())


@lru_cache(maxsize=1)  # an error is not kept: the next attempt checks again
def _own_store(_pid: int) -> Store:
    identity.adopt(engine().database, engine().store)
    return engine().store


def _stored(claim: ItemClaim, made: StripFile, worked_s: float) -> Outcome:
    own_store().put(made.facts.key, made.data)
    return Outcome(claim, State.DONE, strip=made.facts, worked_s=worked_s)


def _attempt(claim: ItemClaim, do: Callable[[], _T]) -> _T | Outcome:
    """Return what `do` returns, or the outcome of the attempt if it raises."""
    try:
        return do()
    except Exception as error:  # no error may end the process: others' items are in the same message
        _end_without_memory(error)
        state, reason = _ended(error)
        _LOG.warning("%s span %d: %s: %s", claim.uri, claim.span, state, reason, exc_info=state == State.WAITING)
        return Outcome(claim, state, reason)


def _done(claim: JobClaim, ledger: Ledger, held: Heartbeat, do: Callable[[Work], JobOutput]) -> JobOutput:
    patient = replace(engine(), database=engine().database.patient(ledger.lease_s))
    with own_store().local_files() as local_file:
        return do(Work(claim, patient.database, own_store(), patient.ledger(ledger.worker), held, local_file))


def _attempt_job(do: Callable[[], JobOutput], claim: JobClaim) -> tuple[State, Reason | None, JobOutput | None]:
    try:
        return State.DONE, None, do()
    except ClaimLost as lost:
        _LOG.warning("%s", lost)
        return State.CANCELLED, CANCELLED, None  # recorded only if the claim is still held
    except Exception as error:
        _end_without_memory(error)
        state, reason = _ended(error)
        _LOG.warning("%s job %d: %s: %s", claim.kind, claim.id, state, reason, exc_info=True)
        return (State.FAILED if state == State.QUARANTINED else state), reason, None


def _end_without_memory(error: Exception) -> None:
    """End this process if it ran out of memory: the limit makes that a crash, and the process may be in any state."""
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _NO_ROOM_FOR_A_LIBRARY in str(error)):
        _LOG.error("out of memory; this process ends", exc_info=error)
        os.kill(os.getpid(), signal.SIGABRT)


def _ended(error: Exception) -> tuple[State, Reason]:
    """The state and reason in which the error ends this attempt. The ledger may give up instead of retrying."""
    event = event_of(error)
    return _STATE_OF_DECISION.get(type(decide(Counters(), event)), State.WAITING), event.reason


def local(work: Work, left: OutputFile) -> StoredFile:
    """Return a file that a job left, on this machine; reading it verifies the recorded digest.

    Raises: MachineFault if the store does not hold it; Damaged if a fetched copy does not match its digest.
    """
    try:
        file = work.local_file(left.key, left.sha256)
    except FileNotFoundError as error:
        raise MachineFault(
            f"{left.key} is not in the store {work.store.location}; `orchestrator doctor` lists all missing files"
        ) from error
    work.heartbeat.note_step()
    return file
