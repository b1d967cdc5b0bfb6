"""One change to how a model is trained, to measure what a part is worth. It can be read without loading Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.errors import Impossible
from tasks.audio.preset import LONGEST_NAME, Preset
from tasks.model.spec import AUGMENTING
from tasks.model.zoo import MODELS, ModelEntry

FACTORS = {"denoising": "denoising", "augmentation": "augmentation", "synthetic": "synthetic examples"}
"""What can be changed, and how it is said; one thing at a time."""

WITH_SYNTHETIC = f"with {FACTORS['synthetic']}"

GAN = "gan"
"""The model whose training leaves synthetic examples."""
ADDED = {name: value for name, value in MODELS["deep_cnn"].training.items() if name in AUGMENTING}
"""The augmentation given to a model of pictures that has none: that of the best network. It costs no strips."""
ADDED_COPIES = 2
"""Given instead where a model reads features alone, which no shift or mask of a picture reaches."""

_PICTURES = frozenset({"spectrogram", "bands"})


class VariantError(Impossible):
    """A model cannot be changed in the way that was asked for."""

    exit_code = 2


def variant(model: ModelEntry, preset: Preset, factor: str) -> str:
    """The model without that factor where preset or settings have it, else with it, as "without denoising".

    preset: the one its own training uses.
    Raises VariantError for synthetic examples where the model reads more than pictures.
    """
    if factor == "synthetic":
        require_pictures_alone(model)
    return f"{'without' if _has(model, preset, factor) else 'with'} {FACTORS[factor]}"


def require_pictures_alone(model: ModelEntry) -> None:
    """Raises VariantError where the model reads more than pictures: synthetic examples are nothing else."""
    if others := [name for name in model.inputs if name not in _PICTURES]:
        raise VariantError(
            f"{model.name} reads {', '.join(others)}, and synthetic examples are pictures alone; "
            "ablate `synthetic` with models of pictures only"
        )


def require_same_pictures(model: str, preset: Preset, gan_preset: Preset) -> None:
    """Raises VariantError where the model's pictures are not of the pipeline whose pictures the gan makes."""
    if preset.digest != gan_preset.digest:
        raise VariantError(
            f"{model} reads pictures of the preset {preset.name}, and the {GAN} makes those of {gan_preset.name}; "
            "give both one with --preset"
        )


def _has(model: ModelEntry, preset: Preset, factor: str) -> bool:
    if factor == "denoising":
        return preset.denoise.method != "none"
    if factor == "augmentation":
        return preset.augment.copies > 0 or any(model.training.get(name) for name in AUGMENTING)
    return False


def factor_of(name: str) -> str | None:
    """The factor that a variant changes; None for a name that is none of ours.

    >>> factor_of("without denoising"), factor_of("with synthetic examples"), factor_of("shuffled chunks")
    ('denoising', 'synthetic', None)
    """
    return next((factor for factor, said in FACTORS.items() if name in (f"with {said}", f"without {said}")), None)


def is_with(name: str) -> bool:
    """Whether the variant has what the model's own training has not."""
    return name.startswith("with ")


def changed_preset(model: ModelEntry, preset: Preset, name: str) -> Preset:
    """The preset of the variant: the model's own where only its training changes, else one with a derived name.

    Raises PresetError where the user's other values do not allow the change.
    """
    factor, has_it = factor_of(name), is_with(name)
    changed = preset
    if factor == "denoising":
        changed = replace(preset, denoise=replace(preset.denoise, method="non-stationary" if has_it else "none"))
    elif factor == "augmentation":
        copies = ADDED_COPIES if has_it and not _reads_pictures(model) else 0
        changed = replace(preset, augment=replace(preset.augment, copies=copies))
    return preset if changed == preset else replace(changed, name=_derived(preset.name, name))


def _derived(preset: str, variant: str) -> str:
    suffix = "-" + variant.replace(" ", "-")
    return preset[: LONGEST_NAME - len(suffix)] + suffix


def changed_training(model: ModelEntry, name: str | None) -> Mapping[str, Any]:
    """The settings of the variant's training that are not the model's own."""
    if name is None or factor_of(name) != "augmentation":
        return {}
    if is_with(name):
        return ADDED if _reads_pictures(model) else {}
    return dict.fromkeys(AUGMENTING, 0.0)


def _reads_pictures(model: ModelEntry) -> bool:
    return bool(_PICTURES & set(model.inputs))
