"""Images built once, and a stack for each file of tests: what one leaves behind would be counted by another."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.cluster.containers import ROOT, Stack, built, new_project, require_engine
from tests.shared_data import shared_data

KEPT = ROOT / "build" / "cluster"
"""Screenshots and logs, for people to look at."""


@pytest.fixture(scope="session")
def kept() -> Path:
    """The folder of what is left to look at."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT


@pytest.fixture(scope="session")
def images() -> tuple[str, str]:
    """The cpu and the train image, built from the Dockerfile."""
    require_engine()
    return built("cpu"), built("train")


@pytest.fixture(scope="module")
def stack(images: tuple[str, str], kept: Path) -> Iterator[Stack]:
    """Three cpu workers, a worker that trains on a CPU, a dispatcher and one that stands by, and Flower."""
    birds, sounds = shared_data("birds10"), shared_data("esc10")
    with servers.private_folder("chorus-cluster") as folder:
        stack = Stack(new_project(), folder, servers.free_port())
        shutil.copytree(birds / "by_class", folder / "data" / "birds10")
        shutil.copytree(sounds, folder / "data" / "esc10")
        broken = folder / "data" / "birds10" / "Junco_hyemalis" / "broken.mp3"
        broken.write_bytes(b"no sound at all " * 100)
        for name, copies in {"twice": 1, "sixfold": 5}.items():
            preset = f'like = "birdclef2021"\n\n[augment]\ncopies = {copies}\n'
            (folder / "data" / f"{name}.toml").write_text(preset)
        stack.prepare(CHORUS_LEASE_S="10")
        try:
            stack.up(profile="train-cpu")
            stack.up(cpu_worker=3, dispatcher=2)
            stack.await_watched(4)
            yield stack
        finally:
            for container in stack.containers():
                (kept / f"{container.removeprefix(f'{stack.project}_')}.log").write_text(stack.log(container))
            stack.take_down()
