"""The list of models as the command line prints it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from domain.errors import MachineFault
from orchestrator.monitoring.catalogue import lines, model_descriptions
from tasks.model.zoo import MODELS


@pytest.fixture(scope="module")
def models():
    return model_descriptions(27, list(MODELS))


def test_every_model_is_listed_in_the_order_of_the_zoo(models):
    assert [model["name"] for model in models] == list(MODELS)
    assert {model["name"]: model["sentence"] for model in models} == {name: m.sentence for name, m in MODELS.items()}


def test_a_model_lists_its_inputs_and_parameters(models):
    by_name = {model["name"]: model for model in models}
    assert by_name["cnn_mlp"]["inputs"] == {"spectrogram": [48, 128, 1], "features": [15]}
    assert (by_name["cnn"]["parameters"], by_name["cnn"]["trainable_parameters"]) == (495_963, 495_483)
    assert (by_name["deep_cnn"]["preset"], by_name["deep_cnn"]["inputs"]) == (
        "broadband",
        {"spectrogram": [128, 251, 1]},
    )
    assert sum(layer["parameters"] for layer in by_name["cnn"]["layers"]) == 495_963
    assert by_name["cnn"]["layers"][-1]["output"] == [27]


def test_a_generator_is_listed_with_its_kind_and_inputs(models):
    kinds = {model["name"]: model["kind"] for model in models}
    assert {name for name, kind in kinds.items() if kind == "generator"} == {"gan"}
    by_name = {model["name"]: model for model in models}
    assert by_name["gan"]["inputs"] == {"noise": [64], "class": [27]}
    assert by_name["gan"]["layers"][-1]["output"] == [48, 128, 1]
    assert "gan       a generator, not a classifier" in "\n".join(lines(models, with_layers=False))


def test_the_text_shows_layers_only_on_request(models):
    brief, whole = ("\n".join(lines(models, with_layers=shown)) for shown in (False, True))
    assert "495,963 parameters, 495,483 trained" in brief
    assert "cnn_conv_1" not in brief
    assert "cnn_conv_1" in whole


def test_the_command_prints_one_json_object():
    program = "from orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", program, "models", "mlp", "--classes", "5", "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(completed.stdout)
    assert found["classes"] == 5
    assert [model["name"] for model in found["models"]] == ["mlp"]
    assert found["models"][0]["layers"][-1]["output"] == [5]


def test_a_timeout_of_keras_is_reported_in_one_sentence(monkeypatch):
    monkeypatch.setattr("orchestrator.monitoring.catalogue._LONGEST_S", 0.01)
    with pytest.raises(MachineFault, match=r"Keras took more than 0\.01 s"):
        model_descriptions(3, ["mlp"])


def test_a_failed_import_of_keras_is_reported_in_one_sentence():
    with pytest.raises(MachineFault, match=r"cannot be listed: .*KeyError"):
        model_descriptions(3, ["no such model"])
