"""The states of items, jobs and runs, and the kinds of jobs."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """State of an item or a job. An interrupted claim, `resume` and `retry` return it to waiting."""

    WAITING = "waiting"  # not yet in the broker
    SENT = "sent"  # a message naming it is on its way
    RUNNING = "running"  # one worker holds the claim, until its lease ends
    DONE = "done"  # its file is in the store
    QUARANTINED = "quarantined"  # its recording cannot be used; the reason is beside it
    FAILED = "failed"  # tried as often as allowed, or impossible
    CANCELLED = "cancelled"  # the user cancelled the run, or a job that this one needs failed


class RunState(StrEnum):
    """State of a run."""

    PLANNING = "planning"  # its rows are being written; nothing is sent yet
    ACTIVE = "active"  # the dispatcher feeds it
    PAUSED = "paused"  # interrupted; `resume` makes it active again
    DONE = "done"  # every item and job is final, and no job failed
    FAILED = "failed"  # every item and job is final, and a job failed or nothing was usable
    CANCELLED = "cancelled"  # cancelled by the user


class RunKind(StrEnum):
    """What a run does."""

    TRAIN = "train"  # preprocesses labelled recordings, trains models and evaluates them
    PREDICT = "predict"  # applies a trained model to recordings


ITEM_TASKS = {RunKind.TRAIN: "preprocess", RunKind.PREDICT: "predict"}
"""The task that carries out the items of a run."""


class Kind(StrEnum):
    """Kind of a job; also the name of its task."""

    PACK = "pack"
    TRAIN = "train"
    EVALUATE = "evaluate"
    RENDER = "render"
    COLLECT = "collect"


RESUMABLE_KINDS = (Kind.TRAIN,)
"""Kinds of job that keep a checkpoint in the store, from which the next attempt continues."""


class Stage(StrEnum):
    """How far a run goes: `--until` names the last stage."""

    PREPROCESS = "preprocess"
    PACK = "pack"
    TRAIN = "train"
    ALL = "all"


USED_IN_PART = "used_in_part"
"""Of a recording, never of an item: some of its items are done, and others are quarantined or failed."""

CLAIMABLE = (State.WAITING, State.SENT)
OPEN = (State.WAITING, State.SENT, State.RUNNING)
FINAL = (State.DONE, State.QUARANTINED, State.FAILED, State.CANCELLED)
RUN_FINAL = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)

UNTRIED = {"attempts": 0, "crashes": 0, "lost_claims": 0, "faults": 0, "fence": 0, "is_alone": False}
"""The counters of an item that no worker has claimed yet."""
