"""Every example in a docstring of a module that loads Keras is true."""

from __future__ import annotations

import doctest
import importlib

import pytest

from tests.contracts.test_doctests import modules_with_examples


@pytest.mark.parametrize("module", modules_with_examples(loads_keras=True))
def test_the_docstring_examples_are_true(module):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 0
    assert failed == 0, "the examples that failed are printed above"
