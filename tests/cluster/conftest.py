"""Images, kernels and a stack, each made once for all files of tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.cluster.containers import ROOT, Stack, built, new_project, podman, require_engine
from tests.shared_data import shared_data, some_of_esc10

KEPT = ROOT / "build" / "cluster"
"""Screenshots and logs, for people to look at."""
SHARED_KERNELS = ("docker-compose.yml", "tests/cluster/kernels.yml")
_COMPILE = "import tasks.audio.strip as strip; strip.warm()"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole way comes first: it counts all that is in the ledger, and the others leave runs behind."""
    at = [number for number, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ordered = sorted((items[number] for number in at), key=lambda item: item.path.name != "test_whole_way.py")
    for number, item in zip(at, ordered, strict=True):
        items[number] = item


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


@pytest.fixture(scope="session")
def kernels(images: tuple[str, str]) -> Iterator[Path]:
    """A folder with the compiled kernels of the cpu image; every worker without it compiles them anew."""
    with servers.private_folder("chorus-kernels") as folder:
        os.chown(folder, 10001, 10001)
        command = ("run", "--rm", "--volume", f"{folder}:/tmp/numba", "--entrypoint", "python", images[0])
        podman(*command, "-c", _COMPILE)
        yield folder


@pytest.fixture(scope="session")
def stack(images: tuple[str, str], kernels: Path, kept: Path) -> Iterator[Stack]:
    """Three cpu workers, a worker that trains on a CPU, a dispatcher and one that stands by, and Flower."""
    birds = shared_data("birds10")
    with servers.private_folder("chorus-cluster") as folder:
        stack = Stack(new_project(), folder, servers.free_port(), SHARED_KERNELS)
        shutil.copytree(birds / "by_class", folder / "data" / "birds10")
        some_of_esc10(folder / "data" / "esc10", per_class_and_fold=4)
        broken = folder / "data" / "birds10" / "Junco_hyemalis" / "broken.mp3"
        broken.write_bytes(b"no sound at all " * 100)
        for name, copies in {"twice": 1, "fourfold": 3}.items():
            preset = f'like = "birdclef2021"\n\n[augment]\ncopies = {copies}\n'
            (folder / "data" / f"{name}.toml").write_text(preset)
        stack.prepare(CHORUS_LEASE_S="10", TEST_KERNELS=str(kernels))
        try:
            stack.up(profile="train-cpu")
            stack.up(cpu_worker=3, dispatcher=2)
            stack.await_watched(4)
            yield stack
        finally:
            for container in stack.containers():
                (kept / f"{container.removeprefix(f'{stack.project}_')}.log").write_text(stack.log(container))
            stack.take_down()
