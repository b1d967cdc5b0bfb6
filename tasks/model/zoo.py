"""The list of networks: the only place that knows what there is. It can be read without loading Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from domain.errors import Impossible
from tasks.model.inputs import InputShapes

Builder = Callable[[InputShapes, int], Any]


class UnknownModel(Impossible):
    """A model was asked for by a name the zoo does not have."""

    exit_code = 2


@dataclass(frozen=True)
class ModelEntry:
    """One family: its name, what it is in a sentence, the inputs it reads, and how an untrained one is made.

    inputs: names from `tasks.model.inputs.INPUTS`: what it reads, or, of a generator, what it learns from.
    build: (input shapes, number of classes) to an uncompiled keras.Model whose inputs bear those names, or to a
    generator, from noise and class to pictures.
    preset: the preprocessing it is meant for; `--preset` sets one for all.
    training: the settings it is trained with where they are not the defaults of `TrainingSettings`.
    judge: of a generator, the classifier that it is judged by, on the same preset; None for a classifier.
    smallest: bands, and frames, that its pictures must have at least, as far as a plan can know; what else turns out
    too small fails its training with a sentence.
    """

    name: str
    sentence: str
    inputs: tuple[str, ...]
    build: Builder
    training: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "birdclef2021"
    judge: str | None = None
    smallest: int = 1

    @property
    def is_generator(self) -> bool:
        """Whether it makes examples instead of naming them: it has no accuracy, and measures of its own."""
        return self.judge is not None


def built_in(module: str, function: str = "build") -> Builder:
    """A builder of a module in this folder, imported when first called: it, unlike this list, needs Keras."""

    def build(shapes: InputShapes, n_classes: int) -> Any:
        return getattr(import_module(f"tasks.model.networks.{module}"), function)(shapes, n_classes)

    return build


# Four times two off each axis, then half of it, and one is left.
_SMALLEST_FOR_CNN = 46

# Chosen on inner splits, see docs/reference/models.md.
_TRAINING_OF_CNN = {"batch": 16}

# Few recordings are too few to stop by.
_TRAINING_OF_MERGES = {"schedule": "cosine", "hold_out": False, "epochs": 60, "batch": 16, "most_examples": 1_600_000}

_ENTRIES = (
    ModelEntry(
        "cnn",
        "four convolutions over the spectrogram: the one to start with",
        ("spectrogram",),
        built_in("cnn"),
        _TRAINING_OF_CNN,
        smallest=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "mlp",
        "three dense layers over the fifteen features: seconds to train, a floor for the others",
        ("features",),
        built_in("mlp"),
    ),
    ModelEntry(
        "lstm",
        "six recurrent layers that read the spectrogram band by band: small, slow to learn",
        ("bands",),
        built_in("lstm"),
        {
            "schedule": "cosine",
            "hold_out": False,
            "epochs": 160,
            "learning_rate": 3e-3,
            "weight_decay": 1e-3,
            "shift": 0.5,
            "most_examples": 1_600_000,
        },
    ),
    ModelEntry(
        "deep_cnn",
        "residual blocks over the spectrogram: the best single network here, and the slowest",
        ("spectrogram",),
        built_in("deep_cnn"),
        {
            "schedule": "cosine",
            "hold_out": False,
            "epochs": 160,
            "learning_rate": 2e-3,
            "weight_decay": 1e-2,
            "label_smoothing": 0.1,
            "shift": 0.5,
            "stretch": 0.15,
            "mel_shift": 0.03,
            "band_gain": 0.1,
            "time_mask": 0.15,
            "mel_mask": 0.15,
            "batch": 16,
            "most_examples": 400_000,
        },
        "broadband",
        smallest=15,  # a stem that rounds up, and three halvings that round down
    ),
    ModelEntry(
        "cnn_mlp",
        "the cnn and the mlp joined before the classes: pictures and features together",
        ("spectrogram", "features"),
        built_in("merge", "cnn_and_mlp"),
        _TRAINING_OF_MERGES,
        smallest=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "cnn_lstm",
        "the cnn and the lstm joined before the classes: the spectrogram read in two ways",
        ("spectrogram", "bands"),
        built_in("merge", "cnn_and_lstm"),
        _TRAINING_OF_MERGES,
        smallest=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "gan",
        "a generator, no classifier: paints spectrograms of each class, for the cnn to learn from",
        ("spectrogram",),
        built_in("gan", "generator"),
        {"schedule": "cosine", "epochs": 20, "batch": 16, "learning_rate": 1e-3},
        judge="cnn",
    ),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> ModelEntry:
    """The model of that name.

    Raises UnknownModel, naming those that exist.
    """
    if name not in MODELS:
        raise UnknownModel(f"no model is called {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name]


def built(model: ModelEntry, shapes: InputShapes, n_classes: int) -> Any:
    """The model's untrained network. Raises Impossible where pictures of that size are too small for it."""
    try:
        return model.build(shapes, n_classes)
    except ValueError as error:
        size = f"{shapes.n_mels} bands and {shapes.n_frames} frames"
        raise Impossible(f"{model.name} cannot be built for pictures of {size}: {error}") from error


def is_generator(name: str) -> bool:
    """Whether a model of that name is one; False for names that the zoo does not have."""
    return name in MODELS and MODELS[name].is_generator
