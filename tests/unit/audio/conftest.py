"""The default preset, and the reference pipeline where it is shared."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tasks.audio.preset import Preset, load_preset
from tasks.audio.strip import warm
from tests.shared_data import shared_folder


@pytest.fixture(scope="session")
def preset() -> Preset:
    return load_preset("birdclef2021")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> None:
    """Kernels compiled before any test looks at the clock or at memory, and kept for the processes that tests start."""
    warm()


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The yardstick of the preset, from the shared folder; skips where that is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("no shared reference pipeline here; set CHORUS_SHARED to run this")
    spec = importlib.util.spec_from_file_location("reference_pipeline", folder / "bench" / "reference_pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
