"""Exported networks answer as Keras does, and are the same file in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from domain.errors import Impossible
from tasks.audio.preset import load_preset
from tasks.model.bundle.bundle import Bundle, BundleFacts
from tasks.model.bundle.libraries import library_versions
from tasks.model.export import export_network
from tasks.model.inputs import (
    FEATURE_SETS,
    InputShapes,
    RawBatch,
    Scaling,
    feature_names,
    keras_arguments,
    prepare_inputs,
)
from tasks.model.network import parse_network
from tasks.model.spec import TrainingSettings
from tasks.model.zoo import MODELS, entry

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("robin", "Grüner Zilpzalp", "wren")
CASES = [
    (name, features)
    for name, model in MODELS.items()
    if not model.is_generator
    for features in (FEATURE_SETS if "features" in model.inputs else ("audio",))
]


def bundle(name: str, features: str = "audio") -> Bundle:
    """A network with weights drawn from a fixed seed, and moving averages that are not those of an untrained one."""
    preset = load_preset(entry(name).preset)
    names = feature_names(features) if "features" in entry(name).inputs else ()
    keras.utils.set_random_seed(1)
    model = entry(name).build(InputShapes(preset.mel.n_mels, preset.n_frames, len(names) or 15), len(LABELS))
    draw = np.random.default_rng(2)
    model.set_weights([each + draw.uniform(-0.02, 0.02, each.shape).astype(each.dtype) for each in model.get_weights()])
    scaling = Scaling(
        feature_means=tuple(draw.uniform(-1, 1, len(names)).tolist()),
        feature_deviations=tuple(draw.uniform(1, 2, len(names)).tolist()),
        features=features,
    )
    facts = BundleFacts(
        name, LABELS, preset.as_dict(), preset.digest, scaling, TrainingSettings(), "c" * 64, fold=1,
        versions=library_versions(), features=names,
    )  # fmt: skip
    return Bundle(model, facts)


def raw(n: int, of: Bundle) -> RawBatch:
    preset, draw = of.facts.preset, np.random.default_rng(n)
    n_frames = load_preset(preset["name"]).n_frames
    metadata = draw.normal(0, 1, (n, 9)).astype(np.float32)
    metadata[::2] = np.nan
    return RawBatch(
        draw.integers(0, 256, (n, preset["mel"]["n_mels"], n_frames), np.uint8),
        draw.normal(0, 1, (n, 15)).astype(np.float32),
        metadata,
    )


@pytest.mark.parametrize(("name", "features"), CASES)
def test_a_network_answers_as_keras_does(name: str, features: str) -> None:
    """Slow: converts every classifier of the zoo, those that read features once for each set."""
    made = bundle(name, features)
    network = parse_network(export_network(made, "b" * 64))
    for n in (1, 7, 300):
        batch = raw(n, made)
        inputs = keras_arguments(prepare_inputs(batch, made.inputs, made.facts.scaling))
        np.testing.assert_allclose(network.predict(batch), made.model.predict_on_batch(inputs), rtol=0, atol=1e-6)


def test_a_network_says_what_it_is() -> None:
    made = bundle("mlp")
    facts = parse_network(export_network(made, "b" * 64)).facts
    assert (facts.model, facts.labels, facts.inputs, facts.fold) == ("mlp", LABELS, ("features",), 1)
    assert (facts.scaling, facts.features) == (made.facts.scaling, made.facts.features)
    assert (facts.preset, facts.pipeline_digest) == (made.facts.preset, made.facts.pipeline_digest)
    assert (facts.bundle_sha256, facts.split_digest) == ("b" * 64, "c" * 64)


def test_equal_bundles_give_equal_bytes_in_any_process() -> None:
    """Slow: another process loads TensorFlow. It has converted a network before, and orders its sets otherwise."""
    code = (
        "import sys; from tests.models.test_export import bundle, export_network as export\n"
        "export(bundle('mlp'), ''); sys.stdout.buffer.write(export(bundle('cnn_lstm'), 'b' * 64))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout == export_network(bundle("cnn_lstm"), "b" * 64)


def test_a_generator_has_no_network_to_export() -> None:
    keras.utils.set_random_seed(1)
    facts = bundle("cnn").facts
    with pytest.raises(Impossible, match="is a generator and predicts no classes"):
        export_network(Bundle(entry("gan").build(InputShapes(), 3), facts), "b" * 64)
