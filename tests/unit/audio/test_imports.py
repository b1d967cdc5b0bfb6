"""The folder is quick to import, and its examples are true."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

from tasks.audio import chunk, headers, preset

SLOW = {"librosa", "noisereduce", "audiomentations", "numba", "matplotlib", "sklearn", "keras", "tensorflow"}


@pytest.mark.parametrize("name", ["preset", "chunk", "recording", "strip"])
def test_importing_does_not_import_what_takes_a_second(name: str) -> None:
    code = f"import sys, tasks.audio.{name}; print(*({SLOW!r} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []


@pytest.mark.parametrize("module", [chunk, headers, preset], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_are_true(module: object) -> None:
    failed, attempted = doctest.testmod(module)  # type: ignore[arg-type]
    assert failed == 0
    assert attempted > 0
