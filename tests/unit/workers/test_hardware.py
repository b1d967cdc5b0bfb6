"""Detection of the machine's hardware by a worker's parent process."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from orchestrator.execution.serve import NoGpu, require_gpu_where_wanted
from settings import Settings
from workers import hardware, roles
from workers.hardware import (
    PREPROCESSING_BYTES,
    available_bytes,
    has_gpu,
    preprocessings_at_once,
    trainings_at_once,
    usable_cores,
)
from workers.roles import CPU, GPU, warnings


@pytest.mark.parametrize(
    ("device", "is_one"), [("nvidia0", True), ("dxg", True), ("nvidiactl", False), ("null", False)]
)
def test_a_gpu_is_known_by_its_device(tmp_path: Path, device: str, is_one: bool) -> None:
    (tmp_path / device).touch()
    assert has_gpu(tmp_path) == is_one


@pytest.mark.parametrize(("limit", "expected"), [("max", 8_192_000), ("4096000", 4_096_000), (None, 8_192_000)])
def test_a_containers_limit_counts_where_it_is_less_than_the_machines_memory(
    tmp_path: Path, limit: str | None, expected: int
) -> None:
    meminfo, allowed = tmp_path / "meminfo", tmp_path / "memory.max"
    meminfo.write_text("MemTotal:       16000 kB\nMemAvailable:    8000 kB\n")
    if limit is not None:
        allowed.write_text(f"{limit}\n")
    assert available_bytes(meminfo, allowed) == expected


def test_one_training_at_a_time_on_a_gpu_and_one_a_core_without() -> None:
    assert trainings_at_once(on_gpu=True) == 1
    assert 1 <= trainings_at_once(on_gpu=False) <= usable_cores()


@pytest.mark.parametrize(("for_children", "expected"), [(0.5, 1), (3.5, 3), (100, 8)])
def test_a_cpu_worker_has_a_child_a_core_and_no_more_than_memory_is_there_for(
    monkeypatch: pytest.MonkeyPatch, for_children: float, expected: int
) -> None:
    monkeypatch.setattr(hardware, "usable_cores", lambda: 8)
    monkeypatch.setattr(hardware, "available_bytes", lambda: int(for_children * PREPROCESSING_BYTES))
    assert preprocessings_at_once() == CPU.children(Settings()) == expected


def test_a_gpu_worker_has_the_children_it_was_asked_for_and_a_cpu_worker_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(concurrency=5, gpu_concurrency=3)
    assert (CPU.children(settings), GPU.children(settings)) == (5, 3)
    monkeypatch.setattr(roles, "has_gpu", lambda: True)
    assert GPU.children(Settings()) == 1


def test_hidden_gpus_are_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(roles, "has_gpu", lambda: True)
    monkeypatch.setattr(roles, "trainings_at_once", lambda *, on_gpu: asked.append(on_gpu) or 1)
    for hidden in ("", "-1", "-1,0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        GPU.children(Settings())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    GPU.children(Settings())
    assert asked == [False, False, False, True]


def test_a_gpu_worker_that_sees_no_gpu_says_so_and_how_many_models_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "has_gpu", lambda: False)
    (sentence,) = warnings(GPU, Settings(gpu_concurrency=3))
    assert "no GPU" in sentence
    assert "3 at a time" in sentence
    assert warnings(CPU, Settings()) == []
    monkeypatch.setattr(roles, "has_gpu", lambda: True)
    assert warnings(GPU, Settings()) == []


@pytest.mark.parametrize(
    ("device", "requires", "refuses"),
    [("auto", False, False), ("gpu", False, True), ("auto", True, True), ("cpu", True, False)],
)
def test_without_a_gpu_what_needs_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, *, requires: bool, refuses: bool
) -> None:
    monkeypatch.setattr("orchestrator.execution.serve.sees_gpu", lambda settings: False)
    with pytest.raises(NoGpu, match="no GPU") if refuses else nullcontext():
        require_gpu_where_wanted(Settings(require_gpu=requires), device)
