"""What an item, a job or a run can be, one sentence a state."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of an item or a job. It only ever moves forward, except that an interrupted claim goes back to waiting."""

    WAITING = "waiting"  # not yet in the broker
    SENT = "sent"  # a message naming it is on its way
    RUNNING = "running"  # one worker holds the claim, until its lease ends
    DONE = "done"  # its file is in the store
    QUARANTINED = "quarantined"  # its recording cannot be used; the reason is beside it
    FAILED = "failed"  # tried as often as allowed, or impossible
    CANCELLED = "cancelled"  # a person, or a failed job it needs, called it off


class RunState(StrEnum):
    """Of a run."""

    PLANNING = "planning"  # its rows are being written; nothing is sent yet
    ACTIVE = "active"  # the dispatcher feeds it
    PAUSED = "paused"  # interrupted; `resume` makes it active again
    DONE = "done"  # every item and job is final, and no job failed
    FAILED = "failed"  # every item and job is final, and a job failed or nothing was usable
    CANCELLED = "cancelled"  # called off by a person


class Kind(StrEnum):
    """Of a job; also the name of its task."""

    PACK = "pack"
    TRAIN = "train"
    EVALUATE = "evaluate"
    RENDER = "render"


class Stage(StrEnum):
    """How far a run goes: `--until` names the last stage."""

    PREPROCESS = "preprocess"
    PACK = "pack"
    TRAIN = "train"
    ALL = "all"


CLAIMABLE = (State.WAITING, State.SENT)
OPEN = (State.WAITING, State.SENT, State.RUNNING)
FINAL = (State.DONE, State.QUARANTINED, State.FAILED, State.CANCELLED)
RUN_FINAL = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)

UNTRIED = {"attempts": 0, "crashes": 0, "lost_claims": 0, "faults": 0, "fence": 0, "is_alone": False}
"""The counters of an item that nobody has claimed yet."""
