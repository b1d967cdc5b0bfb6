"""A gpu worker that is killed while it trains costs one epoch, and changes nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from db.states import Kind, RunState, State
from db.status import JobStatus
from orchestrator import plan
from orchestrator.watch import Snapshot
from tests.integration.way import Way, carried_out, dataset, files, home

pytestmark = pytest.mark.integration

LONG = plan.Request(models=("mlp",), training={"epochs": 60, "early_stop_patience": 1000})


def training_of(seen: Snapshot) -> JobStatus:
    return next(job for job in seen.jobs if job.kind == Kind.TRAIN)


def test_a_training_killed_in_the_middle_ends_with_the_same_weights_in_another_process(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    killed_at: list[int] = []

    def kill(way: Way, seen: Snapshot) -> None:
        job = training_of(seen)
        if job.state == State.RUNNING and job.epoch >= 5 and not killed_at:
            os.kill(way.stack.process_id("gpu"), signal.SIGKILL)  # the process that trains goes with it
            killed_at.append(job.epoch)

    with home(tmp_path / "calm") as calm, home(tmp_path / "killed") as disturbed:
        assert carried_out(calm, data, LONG).run.state == RunState.DONE
        seen = carried_out(disturbed, data, LONG, disturb=kill)
        assert seen.run.state == RunState.DONE, [(job.kind, job.state, job.reason) for job in seen.jobs]
        assert 5 <= killed_at[0] < 60
        assert training_of(seen).attempts == 2
        assert files(disturbed, "models") == files(calm, "models")
