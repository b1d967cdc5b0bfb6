"""A variant changes exactly one part of a model or its training."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import replace

import pytest

from tasks.audio.preset import Preset, load_preset
from tasks.model.spec import AUGMENTATION_SETTINGS, TrainingSettings
from tasks.model.training import augmentation
from tasks.model.variants import (
    FACTORS,
    VariantError,
    changed_preset,
    changed_training,
    factor_of,
    is_with,
    require_same_pipeline,
    variant,
)
from tasks.model.zoo import MODELS, entry

REFERENCE, BROADBAND = load_preset("birdclef2021"), load_preset("broadband")
COPIED = replace(REFERENCE, name="copied", augment=replace(REFERENCE.augment, copies=3))

OF_DEEP_CNN = {
    name: entry("deep_cnn").training[name] for name in AUGMENTATION_SETTINGS if entry("deep_cnn").training.get(name)
}


def differing(one: Preset, other: Preset) -> dict[tuple[str, str], object]:
    """Return section, key -> the value of `other`, for all values that differ, except the name."""
    pairs = ((section, one.as_dict()[section], other.as_dict()[section]) for section in one.as_dict())
    return {
        (section, key): theirs[key]
        for section, ours, theirs in pairs
        if isinstance(ours, dict)
        for key in ours
        if ours[key] != theirs[key]
    }


def changes(model: str, preset: Preset, factor: str) -> tuple[str, dict[tuple[str, str], object], dict[str, object]]:
    name = variant(entry(model), preset, factor)
    return name, differing(preset, changed_preset(entry(model), preset, name)), changed_training_of(model, name)


def changed_training_of(model: str, name: str) -> dict[str, object]:
    """Return the settings of the variant that differ from the model."""
    own = TrainingSettings(**entry(model).training)
    changed = replace(own, **changed_training(entry(model), name))
    return {key: value for key, value in vars(changed).items() if value != getattr(own, key)}


@pytest.mark.parametrize(
    ("model", "preset", "factor", "expected"),
    [
        ("cnn", REFERENCE, "denoising", ("without denoising", {("denoise", "method"): "none"}, {})),
        ("cnn", BROADBAND, "denoising", ("with denoising", {("denoise", "method"): "non-stationary"}, {})),
        (
            "cnn",
            REFERENCE,
            "augmentation",
            ("with augmentation", {}, OF_DEEP_CNN),
        ),
        ("mlp", REFERENCE, "augmentation", ("with augmentation", {("augment", "copies"): 2}, {})),
        ("mlp", COPIED, "augmentation", ("without augmentation", {("augment", "copies"): 0}, {})),
        ("cnn", COPIED, "augmentation", ("without augmentation", {("augment", "copies"): 0}, {})),
        ("cnn", REFERENCE, "synthetic", ("with synthetic examples", {}, {})),
    ],
)
def test_each_factor_is_removed_if_present_and_added_otherwise(model, preset, factor, expected):
    assert changes(model, preset, factor) == expected


def test_without_augmentation_no_augmentation_setting_is_left():
    name, of_preset, of_training = changes("deep_cnn", BROADBAND, "augmentation")
    assert (name, of_preset) == ("without augmentation", {})
    assert of_training == dict.fromkeys(OF_DEEP_CNN, 0.0)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
@pytest.mark.parametrize("factor", [factor for factor in FACTORS if factor != "synthetic"])
def test_every_variant_differs_from_its_model(model, factor):
    own = load_preset(model.preset)
    name = variant(model, own, factor)
    changed = changed_preset(model, own, name)
    assert factor_of(name) == factor
    assert is_with(name) == name.startswith("with ")
    assert changed.digest != own.digest or changed_training_of(model.name, name)
    assert (changed.name != own.name) == (changed.digest != own.digest)


def test_the_name_of_a_derived_preset_names_the_change_and_fits_the_ledger():
    long = replace(REFERENCE, name="a" * 64)
    name = changed_preset(entry("mlp"), long, "with augmentation").name
    assert changed_preset(entry("cnn"), REFERENCE, "without denoising").name == "birdclef2021-without-denoising"
    assert (len(name), name[-18:]) == (60, "-with-augmentation")


@pytest.mark.parametrize("model", ["mlp", "cnn_mlp"])
def test_synthetic_examples_are_refused_for_models_that_read_more_than_spectrograms(model):
    with pytest.raises(VariantError, match=f"{model} reads features"):
        variant(entry(model), REFERENCE, "synthetic")


def test_synthetic_examples_of_another_pipeline_are_refused():
    require_same_pipeline("cnn", REFERENCE, REFERENCE)
    with pytest.raises(VariantError, match="deep_cnn uses the preset broadband"):
        require_same_pipeline("deep_cnn", BROADBAND, REFERENCE)


def test_every_setting_that_changes_examples_is_listed_as_augmentation():
    tree = ast.parse(inspect.getsource(augmentation))
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "settings"
    }
    assert read == set(AUGMENTATION_SETTINGS)


def test_variants_do_not_load_keras():
    program = "import sys, tasks.model.variants; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
