"""Training settings and specifications: plain values that planning can hold without loading Keras."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.model.inputs import FEATURE_SETS

MOST_EMBEDDED = 5_000
"""Examples of a subset that a generator's evaluation compares; it bounds memory, and more hardly change distances."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train a network. docs/reference/models.md explains the defaults with measurements.

    epochs: maximum number of passes over the training examples.
    most_examples: limit on epochs times training examples; large sets train for fewer epochs, see `epochs_for`.
    0 disables the limit.
    batch: examples per weight update; small sets use smaller batches, see `batch_for`.
    label_smoothing: share of the target that is spread over all classes, 0 to below 1.
    plateau_patience, plateau_factor: multiply the learning rate by the factor after this many epochs without a lower
    validation loss.
    early_stop_patience: stop after this many epochs without a lower validation loss and restore the best weights.
    class_weights: weight training examples by the inverse frequency of their class.
    schedule: "plateau", as above, or "cosine", which decays the rate to nearly 0 over exactly `epochs`.
    hold_out: keep the validation subset for early stopping; otherwise train on it too, for exactly `epochs`.
    weight_decay: weight decay of AdamW.
    shift, stretch, mel_shift, band_gain, time_mask, mel_mask, mixup: augmentation, see
    `tasks.model.training.augmentation`; 0 disables each.
    features: inputs of networks that read features: "audio", "metadata" or "both".
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 1e-3
    label_smoothing: float = 0.01
    plateau_patience: int = 4
    plateau_factor: float = 0.5
    early_stop_patience: int = 12
    seed: int = 0
    class_weights: bool = True
    schedule: str = "plateau"
    hold_out: bool = True
    weight_decay: float = 0.0
    shift: float = 0.0
    stretch: float = 0.0
    mel_shift: float = 0.0
    band_gain: float = 0.0
    time_mask: float = 0.0
    mel_mask: float = 0.0
    mixup: float = 0.0
    most_examples: int = 0
    features: str = "audio"

    def __post_init__(self) -> None:
        rules = {name: (getattr(self, name) > 0, "more than 0") for name in _POSITIVE} | {
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 or more and less than 1"),
            "plateau_factor": (0 < self.plateau_factor < 1, "more than 0 and less than 1"),
            "seed": (0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
        }
        rules |= {name: (0 <= getattr(self, name) <= 0.5, "a share from 0 to 0.5") for name in _SHARES}
        rules |= {name: (getattr(self, name) >= 0, "0 or more") for name in ("weight_decay", "mixup", "most_examples")}
        rules["schedule"] = (self.schedule in _SCHEDULES, f"one of {', '.join(_SCHEDULES)}")
        rules["features"] = (self.features in FEATURE_SETS, f"one of {', '.join(FEATURE_SETS)}")
        for name, (holds, rule) in rules.items():
            if not holds:
                raise Impossible(f"{name} is {getattr(self, name)}; set it to {rule}")


# Early stopping needs this many updates per epoch; with fewer it stops trainings that have hardly started.
MIN_UPDATES_PER_EPOCH = 6
MIN_BATCH = 8


def batch_for(n_examples: int, batch: int) -> int:
    """Return the batch size for a set of this size: halved, down to 8, until an epoch has six updates.

    >>> batch_for(260, 32), batch_for(150, 32), batch_for(60, 32), batch_for(60, 4)
    (32, 16, 8, 4)
    """
    while batch >= 2 * MIN_BATCH and n_examples < MIN_UPDATES_PER_EPOCH * batch:
        batch //= 2
    return batch


# Lower limit when `most_examples` reduces the epochs.
MIN_EPOCHS = 10


def epochs_for(n_examples: int, settings: TrainingSettings) -> int:
    """Return the number of epochs for a set of this size, at least 10 unless the settings ask for fewer.

    >>> limited = TrainingSettings(epochs=80, most_examples=400_000)
    >>> [epochs_for(n, limited) for n in (320, 10_000, 1_000_000)], epochs_for(1_000_000, TrainingSettings(epochs=80))
    ([80, 40, 10], 80)
    """
    if not settings.most_examples:
        return settings.epochs
    return min(settings.epochs, max(MIN_EPOCHS, settings.most_examples // max(n_examples, 1)))


_SCHEDULES = ("plateau", "cosine")
_SHARES = ("shift", "stretch", "mel_shift", "band_gain", "time_mask", "mel_mask")
AUGMENTATION_SETTINGS = (*_SHARES, "mixup")
"""The settings that change training examples; 0 disables each."""
_POSITIVE = ("epochs", "batch", "learning_rate", "plateau_patience", "early_stop_patience")


@dataclass(frozen=True)
class TrainingSpec:
    """One training: a model of the zoo, the classes in label order, the shards and the settings.

    The order of the shards is part of the specification: another order gives other weights.
    """

    model: str
    labels: tuple[str, ...]
    train_shards: tuple[StoredFile, ...]
    valid_shards: tuple[StoredFile, ...] = ()
    settings: TrainingSettings = field(default_factory=TrainingSettings)
