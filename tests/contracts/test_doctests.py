"""Every example in a docstring is true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRAINING = Path("tasks/model/training")
"""Its modules load Keras, which takes eight seconds; tests/models tries their examples."""
PACKAGES = ("dawn_chorus", "orchestrator", "workers", "tasks", "db", "domain", "benchmarks")


def modules_with_examples(*, loads_keras: bool) -> list[str]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    with_examples = [path.relative_to(ROOT) for path in files if ">>> " in path.read_text("utf-8")]
    with_examples = [path for path in with_examples if (TRAINING in path.parents) == loads_keras]
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in with_examples]


@pytest.mark.parametrize("module", modules_with_examples(loads_keras=False))
def test_the_docstring_examples_are_true(module):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 0
    assert failed == 0, "the examples that failed are printed above"
