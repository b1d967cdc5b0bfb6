"""Compiles the kernels before the first test."""

from __future__ import annotations

import pytest

from tasks.audio.strip import warm


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> None:
    """Compile the kernels before any test measures time or memory, and cache them for processes that tests start."""
    warm()
