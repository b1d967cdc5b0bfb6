"""Kernels compiled before the first test."""

from __future__ import annotations

import pytest

from tasks.audio.strip import warm


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> None:
    """Kernels compiled before any test looks at the clock or at memory, and kept for the processes that tests start."""
    warm()
