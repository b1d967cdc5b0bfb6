"""Fixtures of the chaos tests: the undisturbed run, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.chaos.calm import Calm, calm


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Calm:
    """The files that every disturbed run must leave too."""
    return calm(tmp_path_factory.mktemp("calm"))


@pytest.fixture
def broker_folder() -> Iterator[Path]:
    """An empty folder for a broker that the test starts, and starts again, itself."""
    with servers.private_folder("chorus-chaos") as folder:
        yield folder
