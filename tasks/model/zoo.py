"""The list of networks: the only place that knows what there is. It can be read without loading Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tasks.failures import Impossible
from tasks.model.inputs import InputShapes

Builder = Callable[[InputShapes, int], Any]


class UnknownModel(Impossible):
    """A model was asked for by a name the zoo does not have."""

    exit_code = 2


@dataclass(frozen=True)
class ModelEntry:
    """One family: its name, what it is in a sentence, the inputs it reads, and how an untrained one is made.

    inputs: names from `tasks.model.inputs.INPUTS`.
    build: (input shapes, number of classes) to an uncompiled keras.Model whose inputs bear those names.
    """

    name: str
    sentence: str
    inputs: tuple[str, ...]
    build: Builder


def built_in(module: str) -> Builder:
    """The `build` of a module in this folder, imported when first called: it, unlike this list, needs Keras."""

    def build(shapes: InputShapes, n_classes: int) -> Any:
        return import_module(f"tasks.model.{module}").build(shapes, n_classes)

    return build


_ENTRIES = (
    ModelEntry("cnn", "four convolutions over the spectrogram, three dense layers", ("spectrogram",), built_in("cnn")),
    ModelEntry("mlp", "three dense layers over the fifteen features", ("features",), built_in("mlp")),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> ModelEntry:
    """The model of that name.

    Raises UnknownModel, naming those that exist.
    """
    if name not in MODELS:
        raise UnknownModel(f"no model is called {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name]
