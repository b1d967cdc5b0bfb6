"""Bundles with random changes and valid checksums: each is read or refused within the memory limit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import keras
import pytest

from tasks.model.bundle import archive
from tasks.model.bundle.archive import BundleError
from tasks.model.bundle.bundle import BundleFacts, read_bundle, write_bundle
from tasks.model.bundle.libraries import library_versions
from tasks.model.inputs import InputShapes, Scaling
from tasks.model.spec import TrainingSettings
from tasks.model.zoo import entry
from tests.fuzzing import changed, fuzzed
from tests.memory import peak_memory

Members = dict[str, bytes]
MEGABYTES = 500
STRANGE = (None, True, -1, 0, 10**9, 10**400, 1.5, "", "x" * 1000, "float16", "Dense", "keras.layers", [], {}, [[]])


@pytest.fixture(scope="module", params=["cnn", "cnn_lstm"])
def members(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Members:
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("bundle") / "whole.keras"
    facts = BundleFacts(
        request.param, ("robin", "wren"), {}, "a" * 64, Scaling(), TrainingSettings(), "c" * 64,
        versions=library_versions(),
    )  # fmt: skip
    write_bundle(path, entry(request.param).build(InputShapes(), 2), facts)
    return archive.unpack(path.read_bytes())


@pytest.fixture
def read(tmp_path: Path) -> Callable[[Members], object]:
    def read(members: Members) -> object:
        (tmp_path / "a.keras").write_bytes(archive.pack(members))
        return read_bundle(tmp_path / "a.keras")

    return read


def changed_values(members: Members, draw: Random) -> Members:
    """Replace one to three JSON values of the config or the facts."""
    name = draw.choice((archive.CONFIG, archive.CONFIG, archive.FACTS))
    words = json.loads(members[name])
    for _ in range(draw.randint(1, 3)):
        places = list(_places(words))
        within, at = draw.choice(places)
        within[at] = copy.deepcopy(draw.choice(STRANGE))
    return {**members, name: json.dumps(words).encode()}


def _places(words: Any) -> Any:
    found = words.items() if isinstance(words, dict) else enumerate(words) if isinstance(words, list) else ()
    for at, value in list(found):
        yield words, at
        yield from _places(value)


def changed_bytes(members: Members, draw: Random) -> Members:
    """Change bytes of one member; its checksum is computed again."""
    name = draw.choice((archive.CONFIG, archive.FACTS, archive.WEIGHTS))
    return {**members, name: changed(members[name], draw)}


@pytest.mark.parametrize("change", [changed_values, changed_bytes])
def test_bundles_changed_at_random_are_read_or_refused(
    members: Members, read: Callable[[Members], object], change: Callable[[Members, Random], Members]
) -> None:
    read(members)
    with peak_memory() as peak:
        fuzzed([members], read, (BundleError,), change)
    assert peak.size_bytes < MEGABYTES << 20
