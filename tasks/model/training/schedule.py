"""The training schedule: learning rate and stopping, as functions of the settings and the history."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from domain.errors import Impossible
from tasks.model.spec import TrainingSettings

History = Sequence[Mapping[str, float]]
"""One mapping per epoch: `epoch` (from 1), `loss`, `accuracy`, `learning_rate`, and `val_loss` and `val_accuracy` if
there is validation.
"""

OnEpoch = Callable[[int, dict[str, float]], None]
"""Callback for a finished epoch: its number and its values."""

OnStep = Callable[[], None]
"""Callback for a requested batch or a read shard; it shows that the training makes progress."""

_T = TypeVar("_T")
_WARM_UP_SHARE = 0.05


def learning_rate(settings: TrainingSettings, history: History) -> float:
    """Return the learning rate of the next epoch.

    "plateau": multiplied by `plateau_factor` after every `plateau_patience` epochs without a lower validation loss.
    "cosine": a linear warm-up over the first twentieth of the epochs, then a half cosine to nearly 0.

    >>> halving = TrainingSettings(plateau_patience=1, learning_rate=0.1)
    >>> learning_rate(halving, [{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 3.0}])
    0.05
    >>> cosine = TrainingSettings(schedule="cosine", epochs=40, learning_rate=0.1)
    >>> [round(learning_rate(cosine, [{}] * epoch), 3) for epoch in (0, 1, 2, 21, 39)]
    [0.033, 0.067, 0.1, 0.05, 0.0]
    """
    if settings.schedule == "cosine":
        return settings.learning_rate * _cosine(len(history), settings.epochs)
    return settings.learning_rate * settings.plateau_factor ** _plateaus(settings.plateau_patience, history)


def _cosine(epoch: int, epochs: int) -> float:
    warm_up = int(epochs * _WARM_UP_SHARE)
    if epoch < warm_up:
        return (epoch + 1) / (warm_up + 1)
    return 0.5 * (1 + math.cos(math.pi * (epoch - warm_up) / (epochs - warm_up)))


def _plateaus(patience: int, history: History) -> int:
    lowest, n_waited, n = math.inf, 0, 0
    for values in history:
        loss = values.get("val_loss", -math.inf)
        lowest, n_waited = (loss, 0) if loss < lowest else (lowest, n_waited + 1)
        if n_waited >= patience and "val_loss" in values:
            n, n_waited = n + 1, 0
    return n


def is_finished(settings: TrainingSettings, history: History) -> bool:
    """Return True if all epochs are done or early stopping applies.

    A cosine schedule never stops early: its last epochs, at the lowest rates, improve the result.
    """
    if len(history) >= settings.epochs:
        return True
    is_watched = settings.schedule == "plateau" and "val_loss" in (history[-1] if history else {})
    return is_watched and len(history) - best_epoch(history) >= settings.early_stop_patience


def best_epoch(history: History) -> int:
    """Return the first epoch with the lowest validation loss, or the last epoch without validation; counted from 1.

    >>> best_epoch([{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 1.0}]), best_epoch([{}, {}])
    (2, 2)
    """
    losses = [values["val_loss"] for values in history if "val_loss" in values]
    return 1 + losses.index(min(losses)) if losses else len(history)


def require_finite(values: Mapping[str, float]) -> None:
    """Check that the losses of an epoch are finite, because training cannot recover from NaN.

    Raises: Impossible otherwise.
    """
    for name in ("loss", "val_loss"):
        if not math.isfinite(values.get(name, 0.0)):
            raise Impossible(
                f"{name} is {values[name]} in epoch {values['epoch']:.0f}, at learning rate "
                f"{values['learning_rate']:g}; check the examples, or lower the rate in tasks/model/zoo.py"
            )


def report_epoch(on_epoch: OnEpoch, values: Mapping[str, float]) -> None:
    """Call `on_epoch` with one epoch of a history."""
    on_epoch(int(values["epoch"]), {name: value for name, value in values.items() if name != "epoch"})


def ignore_step() -> None:
    """Do nothing: the default `on_step`."""


def with_step_callback(steps: Iterable[_T], on_step: OnStep) -> Iterator[_T]:
    """Yield the steps and call `on_step` before each.

    >>> list(with_step_callback("ab", lambda: print("a step")))
    a step
    a step
    ['a', 'b']
    """
    for step in steps:
        on_step()
        yield step
