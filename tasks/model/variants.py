"""Variants of a model for ablation: one change to how it is trained. Does not load Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.errors import Impossible
from tasks.audio.preset import LONGEST_NAME, Preset
from tasks.model.spec import AUGMENTATION_SETTINGS
from tasks.model.zoo import MODELS, ModelEntry

FACTORS = {"denoising": "denoising", "augmentation": "augmentation", "synthetic": "synthetic examples"}
"""The parts that an ablation can add or remove, one at a time, and their names in reports."""

WITH_SYNTHETIC = f"with {FACTORS['synthetic']}"

GAN = "gan"
"""The model whose training produces synthetic examples."""
ADDED_AUGMENTATION = {
    name: value for name, value in MODELS["deep_cnn"].training.items() if name in AUGMENTATION_SETTINGS
}
"""Augmentation that the variant adds to a spectrogram model without any: that of `deep_cnn`. It needs no new strips."""
ADDED_COPIES = 2
"""Augmented copies that the variant adds instead if the model reads only features."""

_SPECTROGRAM_INPUTS = frozenset({"spectrogram", "bands"})


class VariantError(Impossible):
    """The model cannot be changed as requested."""

    exit_code = 2


def variant(model: ModelEntry, preset: Preset, factor: str) -> str:
    """Name the variant that removes the factor if the model has it and adds it otherwise, as in "without denoising".

    preset: the preset that the model is trained with.
    Raises: VariantError for the factor `synthetic` if the model reads more than spectrograms.
    """
    if factor == "synthetic":
        require_spectrograms_only(model)
    return f"{'without' if _has(model, preset, factor) else 'with'} {FACTORS[factor]}"


def require_spectrograms_only(model: ModelEntry) -> None:
    """Check that the model reads nothing but spectrograms, because synthetic examples hold nothing else.

    Raises: VariantError otherwise.
    """
    if others := [name for name in model.inputs if name not in _SPECTROGRAM_INPUTS]:
        raise VariantError(
            f"{model.name} reads {', '.join(others)}, but synthetic examples hold only spectrograms; "
            "ablate `synthetic` only for models that read spectrograms alone"
        )


def require_same_pipeline(model: str, preset: Preset, gan_preset: Preset) -> None:
    """Check that the model uses the same pipeline as the GAN that generates its synthetic examples.

    Raises: VariantError otherwise.
    """
    if preset.digest != gan_preset.digest:
        raise VariantError(
            f"{model} uses the preset {preset.name}, but the {GAN} generates spectrograms of {gan_preset.name}; "
            "set one preset for both with --preset"
        )


def _has(model: ModelEntry, preset: Preset, factor: str) -> bool:
    if factor == "denoising":
        return preset.denoise.method != "none"
    if factor == "augmentation":
        return preset.augment.copies > 0 or any(model.training.get(name) for name in AUGMENTATION_SETTINGS)
    return False


def factor_of(name: str) -> str | None:
    """Return the factor that a variant changes; None if the name is not an ablation variant.

    >>> factor_of("without denoising"), factor_of("with synthetic examples"), factor_of("shuffled chunks")
    ('denoising', 'synthetic', None)
    """
    return next((factor for factor, part in FACTORS.items() if name in (f"with {part}", f"without {part}")), None)


def is_with(name: str) -> bool:
    """Return True if the variant adds a part that the model lacks."""
    return name.startswith("with ")


def changed_preset(model: ModelEntry, preset: Preset, name: str) -> Preset:
    """Return the preset of the variant: the model's own if only the training changes, else a copy with a derived name.

    Raises: PresetError if the change conflicts with the user's other preset values.
    """
    factor, adds_it = factor_of(name), is_with(name)
    changed = preset
    if factor == "denoising":
        changed = replace(preset, denoise=replace(preset.denoise, method="non-stationary" if adds_it else "none"))
    elif factor == "augmentation":
        copies = ADDED_COPIES if adds_it and not _reads_spectrograms(model) else 0
        changed = replace(preset, augment=replace(preset.augment, copies=copies))
    return preset if changed == preset else replace(changed, name=_derived(preset.name, name))


def _derived(preset: str, variant: str) -> str:
    suffix = "-" + variant.replace(" ", "-")
    return preset[: LONGEST_NAME - len(suffix)] + suffix


def changed_training(model: ModelEntry, name: str | None) -> Mapping[str, Any]:
    """Return the training settings of the variant that differ from the model's own."""
    if name is None or factor_of(name) != "augmentation":
        return {}
    if is_with(name):
        return ADDED_AUGMENTATION if _reads_spectrograms(model) else {}
    return dict.fromkeys(AUGMENTATION_SETTINGS, 0.0)


def _reads_spectrograms(model: ModelEntry) -> bool:
    return bool(_SPECTROGRAM_INPUTS & set(model.inputs))
