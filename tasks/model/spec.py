"""What to train and how: plain values that a plan can hold, and that need no Keras."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.errors import Impossible
from domain.stored_file import StoredFile
from tasks.model.inputs import FEATURE_SETS


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained. The defaults are explained, with what was measured, in docs/reference/models.md.

    epochs: at most this many passes over the training examples.
    most_examples: where the training side is so large that `epochs` passes would see more than these, fewer epochs,
    see `epochs_for`; 0: no limit.
    batch: examples an update of the weights is drawn from; fewer for small sets, see `batch_for`.
    label_smoothing: share of a target's weight spread over all classes, 0 to below 1.
    plateau_patience, plateau_factor: after so many epochs without a lower validation loss, multiply the learning rate.
    early_stop_patience: after so many epochs without a lower validation loss, stop and go back to the best.
    class_weights: weigh training examples by the inverse of their class's frequency.
    schedule: "plateau", as above, or "cosine", down to nearly 0 over exactly `epochs`.
    hold_out: set the validation side apart to stop by; otherwise learn from it too, for exactly `epochs`.
    weight_decay: of AdamW, in shares of a weight an update at learning rate 1.
    shift, stretch, mel_shift, band_gain, time_mask, mel_mask, mixup: see `tasks.model.training.augmentation`;
    0 leaves out.
    features: what a network that reads features is given: "audio", "metadata" or "both".
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
                raise Impossible(f"{name} {getattr(self, name)} cannot be trained with; set it to {rule}")


# Fewer updates an epoch than this, and early stopping ends a training that has hardly begun.
LEAST_UPDATES = 6
SMALLEST_BATCH = 8


def batch_for(n_examples: int, batch: int) -> int:
    """The batch a set of this size is trained with: halved, down to 8, until an epoch is six updates.

    >>> batch_for(260, 32), batch_for(150, 32), batch_for(60, 32), batch_for(60, 4)
    (32, 16, 8, 4)
    """
    while batch >= 2 * SMALLEST_BATCH and n_examples < LEAST_UPDATES * batch:
        batch //= 2
    return batch


# However large the training side is, it is seen so many times.
LEAST_EPOCHS = 10


def epochs_for(n_examples: int, settings: TrainingSettings) -> int:
    """The epochs a set of this size is trained for.

    >>> limited = TrainingSettings(epochs=80, most_examples=400_000)
    >>> [epochs_for(n, limited) for n in (320, 10_000, 1_000_000)], epochs_for(1_000_000, TrainingSettings(epochs=80))
    ([80, 40, 10], 80)
    """
    if not settings.most_examples:
        return settings.epochs
    return min(settings.epochs, max(LEAST_EPOCHS, settings.most_examples // max(n_examples, 1)))


_SCHEDULES = ("plateau", "cosine")
_SHARES = ("shift", "stretch", "mel_shift", "band_gain", "time_mask", "mel_mask")
AUGMENTING = (*_SHARES, "mixup")
"""The settings that change examples while training; 0 leaves out."""
_POSITIVE = ("epochs", "batch", "learning_rate", "plateau_patience", "early_stop_patience")


@dataclass(frozen=True)
class TrainingSpec:
    """One training: a model of the zoo, the classes in the order of their label numbers, and the shards.

    The shards' order is part of the specification: another order of the same shards is another training.
    """

    model: str
    labels: tuple[str, ...]
    train_shards: tuple[StoredFile, ...]
    valid_shards: tuple[StoredFile, ...] = ()
    settings: TrainingSettings = field(default_factory=TrainingSettings)
