"""The registry of models."""

from __future__ import annotations

import subprocess
import sys

import pytest

from domain.retry import Counters, Fail, decide, event_of
from tasks.model.inputs import INPUTS
from tasks.model.zoo import MODELS, UnknownModel, entry


def test_the_zoo_does_not_load_keras():
    program = (
        "import sys, tasks.model.zoo, tasks.model.spec; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_model_is_found_by_its_name():
    assert entry("cnn").name == "cnn"


def test_an_unknown_model_is_refused_with_the_known_names():
    with pytest.raises(UnknownModel, match=r"'resnet'.*cnn") as caught:
        entry("resnet")
    assert isinstance(decide(Counters(), event_of(caught.value)), Fail)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_model_reads_inputs_that_exist(model):
    assert model.inputs
    assert set(model.inputs) <= set(INPUTS)
