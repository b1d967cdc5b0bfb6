"""What a person typed -> values of a request, or one sentence why not."""

from __future__ import annotations

from dataclasses import dataclass

from db.states import Stage
from orchestrator.plan import Request
from tasks.audio.preset import Preset, load_preset
from tasks.failures import ChorusError
from tasks.model.zoo import MODELS, entry


class UsageError(ChorusError):
    """An option has a value that makes no sense."""

    exit_code = 2


def model_names(text: str) -> tuple[str, ...]:
    """The models, each once. Raises UsageError when there is none, UnknownModel for one that does not exist.

    >>> model_names("cnn, cnn")
    ('cnn',)
    """
    names = tuple(MODELS) if text == "all" else tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"--models {text!r} names no model; there are {', '.join(MODELS)}")
    return tuple(dict.fromkeys(entry(name).name for name in names))


def last_stage(text: str) -> str:
    """The stage. Raises UsageError for one that does not exist."""
    if text not in list(Stage):
        raise UsageError(f"--until {text!r} is not one of {', '.join(Stage)}")
    return text


@dataclass(frozen=True)
class Wanted:
    """The presets of a run, each once, and for each model of the request the place of its own."""

    presets: tuple[Preset, ...]
    of_model: dict[str, int]


def wanted_presets(request: Request) -> Wanted:
    """The preset asked for, for all models, or the one that each model names. Raises PresetError."""
    found: dict[str, Preset] = {}
    places = {}
    for model in request.models:
        preset = load_preset(request.preset or entry(model).preset)
        found.setdefault(preset.digest, preset)
        places[model] = list(found).index(preset.digest)
    return Wanted(tuple(found.values()), places)
