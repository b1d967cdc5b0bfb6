"""The one Task base: an engine a process, the claim, and what an ended attempt means.

A verb says only what is done; here is how it is carried out so that it can be repeated, interrupted and killed.
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
from db.ledger.claims import ItemClaim, JobClaim, Ledger, Outcome, StripFacts
from db.store.interface import Lend, Store, open_store
from domain.errors import ChorusError, MachineFault
from domain.reasons import CANCELLED, Reason, ReasonCode
from domain.results import JobOutput, LeftFile
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
from tasks.runtime.messages import JobMessage, MalformedMessage, PreprocessMessage, UnknownMessage
from tasks.runtime.sources import Sources

_LOG = logging.getLogger("chorus")
_SHOWN = 3
_T = TypeVar("_T")
_NO_ROOM_FOR_A_LIBRARY = "failed to map segment"
_PUTS_AT_ONCE = 4
"""Threads of a child that put strips into the store; fsyncs that meet share one commit of the file system's journal."""
_STATE_OF_DECISION = {Quarantine: State.QUARANTINED, Fail: State.FAILED}


_CLAIM_LOST = Reason(ReasonCode.CANCELLED_BY_USER, "another worker's by now, or its run was cancelled")


class NotDone(ChorusError):
    """The attempt did not end well. The ledger knows it already; this is for people who watch the monitor."""


class ClaimLost(ChorusError):
    """Another worker holds the claim by now, or the run was cancelled: what is being done is no longer wanted."""


@dataclass(frozen=True)
class Engine:
    """What a process works with."""

    database: Database
    store: Store
    settings: Settings

    def ledger(self, worker: str) -> Ledger:
        """The ledger, as this worker may use it."""
        return Ledger(self.database, worker, self.settings.lease_s)


@lru_cache(maxsize=1)
def _engine(_pid: int) -> Engine:
    settings = Settings()
    store = open_store(settings.store, settings.cache, settings.cache_bytes, plain_http=settings.is_endpoint_here)
    return Engine(Database(settings.database), store, settings)


def engine() -> Engine:
    """This process's engine; a forked child never uses its parent's connections."""
    return _engine(os.getpid())


@dataclass(frozen=True)
class StripFile:
    """A strip that can be put into the store."""

    facts: StripFacts
    data: bytes


Make = Callable[[ItemClaim, Sources], StripFile]


@dataclass(frozen=True)
class Work:
    """One claimed job, and the hands to do it with."""

    claim: JobClaim
    database: Database
    store: Store
    ledger: Ledger
    held: Heartbeat
    lend: Lend

    def require_claim(self) -> None:
        """A step is done, and is shown as progress. Raises ClaimLost when going on would be in vain."""
        self.held.went_on()
        if self.claim.id not in self.held.still_held():
            raise ClaimLost(f"job {self.claim.id} is no longer this worker's")


class LedgerTask(Task):  # type: ignore[type-arg]
    """Base of every verb."""

    abstract = True
    Request = "tasks.runtime.crashes:StageRequest"
    acks_late = True
    acks_on_failure_or_timeout = True
    reject_on_worker_lost = False  # the ledger puts the work back, and counts
    ignore_result = True
    throws = (NotDone,)  # known and settled: no traceback in the log

    @property
    def ledger(self) -> Ledger:
        """The ledger, in this worker's name."""
        return engine().ledger(self.request.hostname or f"process-{os.getpid()}")

    def _heartbeat(self, claims: Sequence[ItemClaim | JobClaim]) -> Heartbeat:
        return Heartbeat(self.ledger, claims, engine().settings.progress_file)

    def carry_out_items(self, message: dict[str, Any], make: Make) -> None:
        """Claims the message's items, makes each strip that is not there yet, and settles all of them at once.

        Nobody waits for a disk or a network: while a strip is put into the store, the next one is made.
        Raises NotDone when one could not be made, Reject for a message of another version.
        """
        wanted = _understood(PreprocessMessage.from_dict, message)
        ledger = self.ledger
        claims = patiently(lambda: ledger.claim_items(wanted.run, wanted.items), ledger.lease_s)
        plain_http = engine().settings.is_endpoint_here
        with (
            self._heartbeat(claims) as held,
            Sources(claims, plain_http=plain_http) as sources,
            ThreadPoolExecutor(_PUTS_AT_ONCE, "put") as putting,
        ):
            begun = [_begin(claim, held, make, sources, putting) for claim in held.steps(claims)]
            outcomes = [ending.result() for ending in held.steps(begun)]
            if outcomes:
                patiently(lambda: ledger.settle_items(outcomes), ledger.lease_s)
        _require_done([f"{o.claim.uri}: {o.reason}" for o in outcomes if o.state != State.DONE], len(outcomes))

    def carry_out_job(self, message: dict[str, Any], do: Callable[[Work], JobOutput]) -> None:
        """Claims the message's job, does it, and settles it.

        Raises NotDone when it could not be done, Reject for a message of another version.
        """
        wanted = _understood(JobMessage.from_dict, message)
        ledger = self.ledger
        claim = patiently(lambda: ledger.claim_job(wanted.run, wanted.job, self.name), ledger.lease_s)
        if claim is None:
            return
        with self._heartbeat([claim]) as held:
            state, reason, output = _attempt_job(lambda: _done(claim, ledger, held, do), claim)
            patiently(lambda: ledger.settle_job(claim, state, reason, output), ledger.lease_s)
        _require_done([] if state == State.DONE else [f"{claim.kind} {claim.model or ''}: {reason}"], 1)


def _understood(read: Callable[[dict[str, Any]], _T], message: dict[str, Any]) -> _T:
    """The message's value. Raises Reject for one of a later version: it goes back into the queue, after a pause.

    Where it was acknowledged already, as trainings are, the dispatcher sends it again. What nobody will ever
    understand is rejected for good.
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
    """Raises NotDone with the first sentences of what could not be done; n: attempts of the message."""
    if bad:
        shown, left = "; ".join(bad[:_SHOWN]), len(bad) - _SHOWN
        raise NotDone(shown + (f"; and {left} more" if left > 0 else "") + (f" ({len(bad)} of {n})" if n > 1 else ""))


def patiently(
    ask: Callable[[], _T],
    within_s: float,
    of: type[OSError] = DatabaseUnusable,
    sleep: Callable[[float], None] = time.sleep,
) -> _T:
    """What `ask` answers, asked again with growing pauses while it raises `of`: a restart of a database costs no work.

    Pauses are drawn, so that workers who lost something together do not all come back at the same moment.
    Raises what it still raises after `within_s` of pauses; at once where a file is not there.
    """
    pause_s, waited_s = FIRST_PAUSE_S, 0.0
    while True:
        try:
            return ask()
        except of as error:
            if waited_s >= within_s or isinstance(error, FileNotFoundError):
                raise
            _LOG.warning("%s; asked again soon", error)
            drawn_s = random.uniform(pause_s / 2, pause_s)  # noqa: S311  # no secret
            sleep(drawn_s)
            waited_s, pause_s = waited_s + drawn_s, min(2 * pause_s, LONGEST_PAUSE_S)


def _begin(
    claim: ItemClaim, held: Heartbeat, make: Make, sources: Sources, putting: ThreadPoolExecutor
) -> Future[Outcome]:
    """Makes the claim's strip, has it put into the store, and promises how that ends."""
    if claim.id not in held.ids:
        return _known(Outcome(claim, State.CANCELLED, _CLAIM_LOST))
    if claim.is_made:
        return _known(Outcome(claim, State.DONE))
    began_s = time.perf_counter()
    made = _attempt(claim, lambda: make(claim, sources))
    worked_s = time.perf_counter() - began_s
    if isinstance(made, Outcome):
        return _known(replace(made, worked_s=worked_s))
    return putting.submit(_attempt, claim, lambda: _stored(claim, made, worked_s))


def _known(outcome: Outcome) -> Future[Outcome]:
    ending: Future[Outcome] = Future()
    ending.set_result(outcome)
    return ending


def _stored(claim: ItemClaim, made: StripFile, worked_s: float) -> Outcome:
    engine().store.put(made.facts.key, made.data)
    return Outcome(claim, State.DONE, strip=made.facts, worked_s=worked_s)


def _attempt(claim: ItemClaim, do: Callable[[], _T]) -> _T | Outcome:
    """What `do` gives, or how the attempt ended when it raises."""
    try:
        return do()
    except Exception as error:  # whatever it is, it is this recording's news or the machine's
        _end_without_memory(error)
        state, reason = _ended(error)
        _LOG.warning("%s span %d: %s: %s", claim.uri, claim.span, state, reason, exc_info=state == State.WAITING)
        return Outcome(claim, state, reason)


def _done(claim: JobClaim, ledger: Ledger, held: Heartbeat, do: Callable[[Work], JobOutput]) -> JobOutput:
    with engine().store.lending() as lend:
        return do(Work(claim, engine().database, engine().store, ledger, held, lend))


def _attempt_job(do: Callable[[], JobOutput], claim: JobClaim) -> tuple[State, Reason | None, JobOutput | None]:
    try:
        return State.DONE, None, do()
    except ClaimLost as lost:
        _LOG.warning("%s", lost)
        return State.CANCELLED, CANCELLED, None  # written only if the claim is still held
    except Exception as error:
        _end_without_memory(error)
        state, reason = _ended(error)
        _LOG.warning("%s job %d: %s: %s", claim.kind, claim.id, state, reason, exc_info=True)
        return (State.FAILED if state == State.QUARANTINED else state), reason, None


def _end_without_memory(error: Exception) -> None:
    """Ends this process if bounded work found no memory: that is like a crash, and it is not to be trusted further."""
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _NO_ROOM_FOR_A_LIBRARY in str(error)):
        _LOG.error("no memory; this process ends", exc_info=error)
        os.kill(os.getpid(), signal.SIGABRT)


def _ended(error: Exception) -> tuple[State, Reason]:
    """The state and reason that the error ends this attempt with; the ledger counts, and may give up instead."""
    event = event_of(error)
    return _STATE_OF_DECISION.get(type(decide(Counters(), event)), State.WAITING), event.reason


def local(work: Work, left: LeftFile) -> StoredFile:
    """Return a file that a job left, on this machine; reading it verifies the recorded digest.

    Raises: MachineFault, when the store does not hold it; Damaged, when a fetched copy is not what was written.
    """
    try:
        file = work.lend(left.key, left.sha256)
    except FileNotFoundError as error:
        raise MachineFault(
            f"{left.key} is not in the store {work.store.shown}; `orchestrator doctor` says what else is gone"
        ) from error
    work.held.went_on()
    return file
