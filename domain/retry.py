"""The retry policy: number of attempts, pauses between them, and the final state after the last attempt.

`decide` is the whole policy, as a pure function. Workers call it to classify an error; the ledger calls it with the
row's counters to decide whether another attempt follows. This module also holds the pauses and time limits of workers
and the dispatcher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from domain.errors import Damaged, Impossible, Unusable
from domain.reasons import Reason, ReasonCode

MAX_CRASHES = 3
"""Number of crashes or timeouts of processes that held only this item or job, after which it is given up."""
MAX_LOSSES = 10
"""Number of expired leases, lost workers and unexplained kills after which an item or job is given up."""
MAX_FAULTS = 8
"""Number of attempts ended by a fault of the machine after which an item or job is given up."""

FAULT_PAUSE_S = 2.0
"""Pause after the first machine fault; each further fault doubles it."""
FAULT_JITTER = 0.5
"""Maximum random addition, as a share of the pause, so that workers that failed together do not retry together."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
"""Pauses between requests that a worker repeats to the database or the store; they double up to the longest."""
PUT_BACK_PAUSE_S = 1.0
"""Pause before a message of a later version goes back into the queue."""
LONGEST_RENEWAL_PAUSE_S = 5.0
"""A worker renews its leases at least this often, so that a cancelled run is noticed within seconds."""
STALLED_AFTER_S = 900.0
"""Work without a step for this long is reported as stalled; a step (a recording, a batch, a page) is far shorter."""

MESSAGE_LOST_AFTER_S = {"cpu": 5.0, "gpu": 40.0}
"""A message that is not claimed for this long while its queue is empty is lost. Processes of gpu jobs start slowly."""
MESSAGE_STALE_AFTER_S = 900.0
"""The same limit if the queue is not empty."""
LONGEST_DATABASE_OUTAGE_S = 300.0
"""A command that follows a run ends if the database is unreachable for longer than this."""


class Cause(Enum):
    """What ended an attempt."""

    UNUSABLE = auto()  # the recording cannot become examples
    HOPELESS = auto()  # the request is impossible, or a file that the job reads is damaged
    FAULT = auto()  # disk, store, database, or an unforeseen error
    CRASH = auto()  # the process ended by a signal of its own making, or exceeded the time limit
    KILL = auto()  # the process was killed from outside, as the kernel does when memory runs out
    LOSS = auto()  # the worker ended or did not renew the lease
    STOP = auto()  # the worker was asked to stop


@dataclass(frozen=True)
class Event:
    """The end of an attempt. n_together: the items and jobs that the process held."""

    cause: Cause
    reason: Reason
    n_together: int = 1

    @property
    def is_blamed(self) -> bool:
        """Whether a crash counts against this item or job, because it was alone in the process."""
        return self.cause == Cause.CRASH and self.n_together == 1


@dataclass(frozen=True)
class Counters:
    """What has happened to an item or job since it was planned, retried, or last made progress."""

    crashes: int = 0
    lost_claims: int = 0
    faults: int = 0

    def after(self, event: Event) -> Counters:
        """The counters with the event counted.

        >>> Counters().after(Event(Cause.CRASH, Reason(ReasonCode.CRASHED_WORKER, "signal 11"), n_together=4))
        Counters(crashes=0, lost_claims=1, faults=0)
        """
        if event.is_blamed:
            return replace(self, crashes=self.crashes + 1)
        if event.cause in {Cause.CRASH, Cause.KILL, Cause.LOSS}:
            return replace(self, lost_claims=self.lost_claims + 1)
        return replace(self, faults=self.faults + (event.cause == Cause.FAULT))


@dataclass(frozen=True)
class Wait:
    """Another attempt follows after the pause. alone: in a message of its own, so that it cannot delay other items."""

    pause_s: float = 0.0
    alone: bool = False


@dataclass(frozen=True)
class Quarantine:
    """The item is quarantined. A job has no recording of its own, so it fails instead."""

    reason: Reason


@dataclass(frozen=True)
class Fail:
    """The item or job is given up."""

    reason: Reason


Decision = Wait | Quarantine | Fail


def decide(counters: Counters, event: Event, draw: float = 0.0) -> Decision:
    """Decide what follows the end of an attempt. counters: before the event.  draw: a random number from 0 to 1.

    | cause | counted as | another attempt | given up |
    |---|---|---|---|
    | UNUSABLE | - | never | quarantined at once |
    | HOPELESS | - | never | failed at once |
    | FAULT | fault | after 2 s, 4 s, 8 s, … and up to half as long again | failed at the 8th |
    | CRASH, alone in its process | crash | at once | quarantined at the 3rd |
    | CRASH or KILL, with others | lost claim | at once, alone | quarantined at the 10th |
    | KILL, alone in its process | lost claim | at once | quarantined at the 10th |
    | LOSS | lost claim | at once, alone | quarantined at the 10th |
    | STOP | - | at once | never |

    >>> full = Event(Cause.FAULT, Reason(ReasonCode.MACHINE_FAULT, "OSError: disk full"))
    >>> decide(Counters(), full), decide(Counters(faults=2), full, draw=1.0)
    (Wait(pause_s=2.0, alone=False), Wait(pause_s=12.0, alone=False))
    >>> decide(Counters(faults=7), full).reason.sentence
    'given up after 8 attempts: OSError: disk full'
    >>> died = Event(Cause.CRASH, Reason(ReasonCode.CRASHED_WORKER, "signal 11"))
    >>> decide(Counters(crashes=1), died)
    Wait(pause_s=0.0, alone=False)
    >>> decide(Counters(crashes=2), died).reason.sentence
    'ended its process 3 times: signal 11'
    """
    if event.cause == Cause.UNUSABLE:
        return Quarantine(event.reason)
    if event.cause == Cause.HOPELESS:
        return Fail(event.reason)
    if event.cause == Cause.STOP:
        return Wait()
    after = counters.after(event)
    return _after_fault(after, event, draw) if event.cause == Cause.FAULT else _after_loss(after, event)


def _after_fault(after: Counters, event: Event, draw: float) -> Wait | Fail:
    if after.faults >= MAX_FAULTS:
        sentence = f"given up after {after.faults} attempts: {event.reason.sentence}"
        return Fail(Reason(event.reason.code, sentence))
    return Wait(FAULT_PAUSE_S * 2 ** (after.faults - 1) * (1 + FAULT_JITTER * draw))


def _after_loss(after: Counters, event: Event) -> Wait | Quarantine:
    why = event.reason.sentence
    if after.crashes >= MAX_CRASHES:
        return Quarantine(Reason(ReasonCode.CRASHED_WORKER, f"ended its process {after.crashes} times: {why}"))
    if after.lost_claims >= MAX_LOSSES:
        return Quarantine(Reason(ReasonCode.WORKER_LOST, f"lost its worker {after.lost_claims} times: {why}"))
    return Wait(alone=event.cause == Cause.LOSS or event.n_together > 1)


def event_of(error: BaseException) -> Event:
    """Return the event for an error that ended an attempt.

    Errors that this system does not know, such as a full disk, are the machine's fault.

    >>> from domain.errors import Empty
    >>> event_of(Empty("0 samples")).reason.sentence
    'empty: 0 samples'
    >>> event_of(OSError(28, "No space left on device")).reason.sentence
    'OSError: [Errno 28] No space left on device'
    """
    if isinstance(error, Unusable):
        return Event(Cause.UNUSABLE, Reason(error.code, f"{error.code.words}: {error}"))
    if isinstance(error, Impossible):
        return Event(Cause.HOPELESS, Reason(error.code, str(error)))
    if isinstance(error, Damaged):
        return Event(Cause.HOPELESS, Reason(error.code, f"{error}; {error.remedy}"))
    return Event(Cause.FAULT, Reason(ReasonCode.MACHINE_FAULT, f"{type(error).__name__}: {error}"))


def renewal_pause_s(lease_s: float) -> float:
    """Seconds between two renewals of a lease.

    >>> renewal_pause_s(60.0), renewal_pause_s(2.0)
    (5.0, 0.5)
    """
    return min(lease_s / 4, LONGEST_RENEWAL_PAUSE_S)
