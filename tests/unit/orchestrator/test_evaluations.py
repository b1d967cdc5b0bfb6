"""Intervals beside scores: those of the page, over groups, and none of what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from db.store.folder import FolderStore
from domain.results import EvaluateResult, FileRole
from domain.states import Kind, State
from orchestrator.monitoring.run_scores import ablation, evaluated_by_group, intervals
from tasks.dataset.split import leaky
from tasks.report.data import JobReport
from tasks.report.html.model_views import model_views
from tasks.report.scoring.pairing import GroupOutcomes
from tasks.runtime import evaluations

DRAW = np.random.default_rng(5)


def outcomes(fold: int) -> GroupOutcomes:
    recordings = DRAW.integers(1, 5, 12)
    chunks = 3 * recordings
    return GroupOutcomes(
        tuple(f"{fold} {at}" for at in range(12)),
        recordings, DRAW.binomial(recordings, 0.7), chunks, DRAW.binomial(chunks, 0.6),
    )  # fmt: skip


def job(store: FolderStore, fold: int, found: GroupOutcomes, variant: str | None = None) -> Any:
    key = evaluations.write(store, found.to_parquet(), FileRole.OUTCOMES).key
    return SimpleNamespace(
        kind=Kind.EVALUATE, state=State.DONE, model="cnn", fold=fold, seed=0, variant=variant,
        result=EvaluateResult("evaluations/e.json", outcomes_key=key),
    )  # fmt: skip


def test_the_intervals_are_those_of_the_page(tmp_path: Path) -> None:
    store, found = FolderStore(tmp_path), [outcomes(fold) for fold in range(3)]
    jobs = [job(store, fold, each) for fold, each in enumerate(found)]
    shuffled = job(store, 0, outcomes(0), variant=leaky.VARIANT)
    [view] = model_views(
        [JobReport("evaluate", "done", "cnn", fold, 0, outcomes=each) for fold, each in enumerate(found)]
    )
    assert view.interval and view.recording_interval
    assert intervals("cnn", evaluated_by_group(store, [*jobs, shuffled])) == {
        "accuracy_interval": view.interval,
        "by_recording_accuracy_interval": view.recording_interval,
        "groups": 36,
    }


UNKNOWN = {"accuracy_interval": None, "by_recording_accuracy_interval": None, "groups": None}


def lost(store: FolderStore, key: str) -> None:
    store.local(key).unlink()


def damaged(store: FolderStore, key: str) -> None:
    store.local(key).write_bytes(b"PAR1")


def unreadable(store: FolderStore, key: str) -> None:
    lost(store, key)
    store.local(key).mkdir()


@pytest.mark.parametrize("harm", [lost, damaged, unreadable])
def test_where_one_fold_cannot_be_read_there_is_no_interval_and_no_comparison(
    tmp_path: Path, harm: Callable[[FolderStore, str], None]
) -> None:
    store, variant = FolderStore(tmp_path), "without augmentation"
    own, changed = ([job(store, fold, outcomes(fold), name) for fold in range(3)] for name in (None, variant))
    assert len(ablation(evaluated_by_group(store, [*own, *changed]))) == 1
    harm(store, changed[1].result.outcomes_key)
    judged = evaluated_by_group(store, [*own, *changed])
    assert intervals("cnn", judged) != UNKNOWN
    assert ablation(judged) == []
    harm(store, own[2].result.outcomes_key)
    assert intervals("cnn", evaluated_by_group(store, [*own, *changed])) == UNKNOWN


def test_a_model_that_was_not_judged_has_no_interval(tmp_path: Path) -> None:
    assert intervals("cnn", evaluated_by_group(FolderStore(tmp_path), [])) == UNKNOWN
