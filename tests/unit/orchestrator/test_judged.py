"""Intervals beside scores: those of the page, over groups, and none of what cannot be read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from db.folder import FolderStore
from db.states import Kind, State
from orchestrator.judged import intervals, judged
from tasks import judgement
from tasks.report.facts import JobReport
from tasks.report.models import model_views
from tasks.report.pairing import GroupOutcomes

DRAW = np.random.default_rng(5)


def outcomes(fold: int) -> GroupOutcomes:
    recordings = DRAW.integers(1, 5, 12)
    chunks = 3 * recordings
    return GroupOutcomes(
        tuple(f"{fold} {at}" for at in range(12)),
        recordings, DRAW.binomial(recordings, 0.7), chunks, DRAW.binomial(chunks, 0.6),
    )  # fmt: skip


def job(store: FolderStore, fold: int, found: GroupOutcomes, variant: str | None = None) -> Any:
    key = judgement.kept(store, found.to_parquet(), "parquet")
    return SimpleNamespace(
        kind=Kind.EVALUATE, state=State.DONE, model="cnn", fold=fold, seed=0, variant=variant,
        result={"outcomes_key": key},
    )  # fmt: skip


def test_the_intervals_are_those_of_the_page(tmp_path: Path) -> None:
    store, found = FolderStore(tmp_path), [outcomes(fold) for fold in range(3)]
    jobs = [job(store, fold, each) for fold, each in enumerate(found)]
    shuffled = job(store, 0, outcomes(0), variant="shuffled chunks")
    [view] = model_views(
        [JobReport("evaluate", "done", "cnn", fold, 0, outcomes=each) for fold, each in enumerate(found)]
    )
    assert view.interval and view.recording_interval
    assert intervals(judged(store, [*jobs, shuffled])) == {
        "cnn": {"accuracy_interval": view.interval, "by_recording_accuracy_interval": view.recording_interval}
    }


def test_outcomes_that_are_gone_or_damaged_are_left_out(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    whole, gone, damaged = (job(store, fold, outcomes(fold)) for fold in range(3))
    store.local(gone.result["outcomes_key"]).unlink()
    store.local(damaged.result["outcomes_key"]).write_bytes(b"PAR1")
    assert [each.fold for each in judged(store, [whole, gone, damaged])] == [0]


def test_a_run_that_was_not_judged_has_no_intervals(tmp_path: Path) -> None:
    assert intervals(judged(FolderStore(tmp_path), [])) == {}
