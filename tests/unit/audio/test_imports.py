"""Importing the package is fast, and the examples in its docstrings are correct."""

from __future__ import annotations

import doctest
import subprocess
import sys

import pytest

from tasks.audio import chunk, gating, preset, source, spectral, spectrogram, stft

SLOW = {"librosa", "noisereduce", "audiomentations", "numba", "matplotlib", "sklearn", "keras", "tensorflow"}


@pytest.mark.parametrize("name", ["preset", "chunk", "recording", "strip"])
def test_importing_a_module_does_not_import_slow_libraries(name: str) -> None:
    code = f"import sys, tasks.audio.{name}; print(*({SLOW!r} & sys.modules.keys()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize(
    "module", [chunk, gating, preset, source, spectral, spectrogram, stft], ids=lambda module: module.__name__
)
def test_the_examples_in_docstrings_are_correct(module: object) -> None:
    failed, attempted = doctest.testmod(module)  # type: ignore[arg-type]
    assert failed == 0
    assert attempted > 0
