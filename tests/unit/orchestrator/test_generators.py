"""A generator asked for brings what it is judged by."""

from __future__ import annotations

import pytest

from orchestrator.planning.candidates import Candidate, selection
from orchestrator.planning.request import Request
from tasks.model.variants import WITH_SYNTHETIC, VariantError

FED = Candidate("cnn", 0, WITH_SYNTHETIC, "gan")


def test_a_generator_alone_brings_its_judge_as_it_is_and_with_its_examples_on_one_preset() -> None:
    found = selection(Request(models=("gan",)))
    assert found.candidates == (Candidate("gan", evaluator="cnn"), Candidate("cnn"), FED)
    assert len(found.presets) == 1


def test_what_is_asked_for_twice_is_trained_once() -> None:
    found = selection(Request(models=("cnn", "gan"), ablate=("synthetic",)))
    assert found.candidates == (Candidate("cnn"), Candidate("gan", evaluator="cnn"), FED)


def test_a_generator_has_no_parts_that_could_be_left_out() -> None:
    with pytest.raises(VariantError, match="no classifier is asked for to ablate denoising"):
        selection(Request(models=("gan",), ablate=("denoising",)))
