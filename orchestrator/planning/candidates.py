"""Which models a run trains, on which presets and with which changes: follows from the request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from domain.errors import UsageError
from domain.states import Stage
from orchestrator.planning.request import Request
from tasks.audio.preset import Preset, load_preset
from tasks.model.variants import (
    FACTORS,
    GAN,
    WITH_SYNTHETIC,
    VariantError,
    changed_preset,
    require_same_pipeline,
    variant,
)
from tasks.model.zoo import entry


class Candidate(NamedTuple):
    """A model to train with every seed in every fold, unchanged or with one change.

    preset: its position among the presets of the run.  variant: the change; None for the unchanged model.
    generator: the generator of the same fold and seed whose examples are added to the training set.
    is_evaluated: False for a model that is only trained because another one needs it.
    evaluator: of a generator, the classifier that evaluates it: trained without and with generated examples.
    """

    model: str
    preset: int = 0
    variant: str | None = None
    generator: str | None = None
    is_evaluated: bool = True
    evaluator: str | None = None


@dataclass(frozen=True)
class Selection:
    """The presets of a run, each once, and what is trained on them: unchanged models before their variants.

    notes: a sentence for everything that was asked for and cannot be done.
    """

    presets: tuple[Preset, ...]
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()


def selection(request: Request) -> Selection:
    """Every model with the requested preset, or its own, and once more for each factor to ablate.

    Raises:
        PresetError: a preset does not exist or is not valid.
        VariantError: a factor suits none of the models.
        UsageError: the spectrograms of a preset are too small for a model.
    """
    presets, notes = _Presets(), []
    candidates = _unchanged(request, presets)
    if "synthetic" in request.ablate and GAN not in request.models:
        candidates.append(Candidate(GAN, presets.position(_preset(request, GAN)), is_evaluated=False))
    for factor in request.ablate:
        changed, refused = _changed(request, presets, factor)
        if not changed:
            raise VariantError(
                " ".join(refused) or f"no classifier is asked for to ablate {factor}; name one in --models"
            )
        candidates += changed
        notes += refused
    found = Selection(tuple(presets.found.values()), tuple(dict.fromkeys(candidates)), tuple(notes))
    if request.until not in (Stage.PREPROCESS, Stage.PACK):
        _require_large_spectrograms(found)
    return found


def ablated(request: Request, text: str | None) -> Request:
    """The request with the factors of `--ablate`; `all` means those that suit at least one of its models.

    Raises:
        UsageError: a factor does not exist, no factor suits any model, or the run ends before the evaluation.
    """
    if text is None:
        return request
    names = tuple(FACTORS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in FACTORS]
    if unknown or not names:
        raise UsageError(f"--ablate {text!r} is not all, or some of {', '.join(FACTORS)}")
    if request.until != Stage.ALL:
        raise UsageError(
            f"--ablate compares scores, and --until {request.until} ends before any; leave one of them out"
        )
    if text == "all":
        names = tuple(factor for factor in names if _changed(request, _Presets(), factor)[0])
    if not names:
        raise UsageError(
            f"--ablate all: nothing can be taken from or given to {', '.join(request.models)}; name another"
        )
    return replace(request, ablate=tuple(dict.fromkeys(names)))


def _require_large_spectrograms(found: Selection) -> None:
    for model, preset in ((entry(each.model), found.presets[each.preset]) for each in found.candidates):
        if min(preset.mel.n_mels, preset.n_frames) < model.min_size:
            raise UsageError(
                f"{model.name} needs spectrograms of at least {model.min_size} bands and frames, but the preset "
                f"{preset.name} makes {preset.mel.n_mels} by {preset.n_frames}; raise mel.n_mels or lower "
                "mel.hop_samples, or name another model"
            )


class _Presets:
    """Presets, each once, in the order in which they were first requested."""

    def __init__(self) -> None:
        self.found: dict[str, Preset] = {}

    def position(self, preset: Preset) -> int:
        self.found.setdefault(preset.digest, preset)
        return list(self.found).index(preset.digest)


def _preset(request: Request, model: str) -> Preset:
    return load_preset(request.preset or entry(model).preset)


def _unchanged(request: Request, presets: _Presets) -> list[Candidate]:
    """Every model unchanged. A generator brings its evaluator twice: without and with generated examples."""
    evaluators = [name for name in (entry(model).evaluator for model in request.models) if name]
    names = dict.fromkeys([*request.models, *evaluators])
    positions = {name: presets.position(_preset(request, name)) for name in names}
    own = [Candidate(name, positions[name], evaluator=entry(name).evaluator) for name in names]
    generators = [each for each in own if each.evaluator]
    return own + [Candidate(str(each.evaluator), each.preset, WITH_SYNTHETIC, each.model) for each in generators]


def _changed(request: Request, presets: _Presets, factor: str) -> tuple[list[Candidate], list[str]]:
    """Each model with that one change; and a sentence for each model that the change does not suit."""
    changed, refused = [], []
    for model in (name for name in request.models if name != GAN):
        preset = _preset(request, model)
        try:
            if factor == "synthetic":
                require_same_pipeline(model, preset, _preset(request, GAN))
            name = variant(entry(model), preset, factor)
        except VariantError as error:
            refused.append(f"{error}.")
            continue
        position = presets.position(changed_preset(entry(model), preset, name))
        changed.append(Candidate(model, position, name, GAN if factor == "synthetic" else None))
    return changed, refused
