"""The registry of all models. It can be read without loading Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from domain.errors import Impossible
from tasks.model.inputs import InputShapes

Builder = Callable[[InputShapes, int], Any]


class UnknownModel(Impossible):
    """The zoo has no model of the requested name."""

    exit_code = 2


@dataclass(frozen=True)
class ModelEntry:
    """One model family.

    name, sentence: its name and a one-line description.
    inputs: names from `tasks.model.inputs.INPUTS` that a classifier reads, or that a generator is trained on.
    build: (input shapes, number of classes) to an untrained keras.Model whose inputs have those names; for a generator,
    to a model from noise and class to spectrograms.
    training: settings that differ from the defaults of `TrainingSettings`.
    preset: the default preset of the model; `--preset` overrides it for all models.
    evaluator: for a generator, the classifier that evaluates it, on the same preset; None for a classifier.
    min_size: minimum number of bands and of frames, checked while planning. Training reports other size conflicts.
    """

    name: str
    sentence: str
    inputs: tuple[str, ...]
    build: Builder
    training: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "birdclef2021"
    evaluator: str | None = None
    min_size: int = 1

    @property
    def is_generator(self) -> bool:
        """True if the model generates examples; generators have no accuracy but their own measures."""
        return self.evaluator is not None


def builder_of(module: str, function: str = "build") -> Builder:
    """Return a builder that imports its module in this package on first use, because the module needs Keras."""

    def build(shapes: InputShapes, n_classes: int) -> Any:
        return getattr(import_module(f"tasks.model.networks.{module}"), function)(shapes, n_classes)

    return build


# Four 3 by 3 valid convolutions with 2 by 2 pooling reduce 46 to 1.
_SMALLEST_FOR_CNN = 46

# Selected on inner validation splits; see docs/reference/models.md.
_TRAINING_OF_CNN = {"batch": 16}

# Early stopping is unreliable on small validation subsets, so these train for a fixed number of epochs.
_TRAINING_OF_MERGES = {"schedule": "cosine", "hold_out": False, "epochs": 60, "batch": 16, "most_examples": 1_600_000}

_ENTRIES = (
    ModelEntry(
        "cnn",
        "four convolutions over the spectrogram; a good first choice",
        ("spectrogram",),
        builder_of("cnn"),
        _TRAINING_OF_CNN,
        min_size=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "mlp",
        "three dense layers over the fifteen features; trains in seconds, a baseline for the others",
        ("features",),
        builder_of("mlp"),
    ),
    ModelEntry(
        "lstm",
        "six recurrent layers that read the spectrogram band by band; small, slow to train",
        ("bands",),
        builder_of("lstm"),
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
        "residual blocks over the spectrogram; the most accurate single network here, and the slowest",
        ("spectrogram",),
        builder_of("deep_cnn"),
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
        min_size=15,  # The stem rounds up, three poolings round down.
    ),
    ModelEntry(
        "cnn_mlp",
        "cnn and mlp joined before the output layer; reads spectrogram and features",
        ("spectrogram", "features"),
        builder_of("merge", "cnn_and_mlp"),
        _TRAINING_OF_MERGES,
        min_size=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "cnn_lstm",
        "cnn and lstm joined before the output layer; both read the spectrogram",
        ("spectrogram", "bands"),
        builder_of("merge", "cnn_and_lstm"),
        _TRAINING_OF_MERGES,
        min_size=_SMALLEST_FOR_CNN,
    ),
    ModelEntry(
        "gan",
        "a generator, not a classifier; generates spectrograms of each class to train the cnn on",
        ("spectrogram",),
        builder_of("gan", "generator"),
        {"schedule": "cosine", "epochs": 20, "batch": 16, "learning_rate": 1e-3},
        evaluator="cnn",
    ),
)
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def entry(name: str) -> ModelEntry:
    """Return the zoo entry of that name.

    Raises: UnknownModel if none exists; the message lists the known names.
    """
    if name not in MODELS:
        raise UnknownModel(f"unknown model {name!r}; choose from {', '.join(sorted(MODELS))}")
    return MODELS[name]


def build_network(model: ModelEntry, shapes: InputShapes, n_classes: int) -> Any:
    """Build the untrained network of a model.

    Raises: Impossible if spectrograms of that size are too small for it.
    """
    try:
        return model.build(shapes, n_classes)
    except ValueError as error:
        size = f"{shapes.n_mels} bands and {shapes.n_frames} frames"
        raise Impossible(f"{model.name} cannot be built for spectrograms of {size}: {error}") from error


def is_generator(name: str) -> bool:
    """Return True if the zoo has a generator of that name, False for unknown names."""
    return name in MODELS and MODELS[name].is_generator
