"""The course of a training: each next step follows from the settings and from how the epochs before it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from domain.errors import Impossible
from tasks.model.spec import TrainingSettings

History = Sequence[Mapping[str, float]]
"""One mapping an epoch: `epoch` (from 1), `loss`, `accuracy`, `learning_rate`, and `val_loss`, `val_accuracy` where
there is validation."""

OnEpoch = Callable[[int, dict[str, float]], None]
"""Hears of an epoch that has ended: its number, and its figures."""

OnStep = Callable[[], None]
"""Hears that a batch was asked for, or a shard read: the training goes on."""

_T = TypeVar("_T")
_WARM_UP_SHARE = 0.05


def learning_rate(settings: TrainingSettings, history: History) -> float:
    """The rate of the next epoch.

    "plateau": multiplied by `plateau_factor` whenever `plateau_patience` epochs have brought no lower validation loss.
    "cosine": up in a straight line over the first twentieth of the epochs, then down along half a cosine to nearly 0.

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
    lowest, waited, n = math.inf, 0, 0
    for figures in history:
        loss = figures.get("val_loss", -math.inf)
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
        if waited >= patience and "val_loss" in figures:
            n, waited = n + 1, 0
    return n


def is_over(settings: TrainingSettings, history: History) -> bool:
    """Whether no epoch follows: all are done, or too many have brought no lower validation loss.

    A cosine is always followed to its end: the last epochs, at the lowest rates, are the ones it is for.
    """
    if len(history) >= settings.epochs:
        return True
    is_watched = settings.schedule == "plateau" and "val_loss" in (history[-1] if history else {})
    return is_watched and len(history) - best_epoch(history) >= settings.early_stop_patience


def best_epoch(history: History) -> int:
    """The first of those with the lowest validation loss, or the last where there is no validation; from 1.

    >>> best_epoch([{"val_loss": 2.0}, {"val_loss": 1.0}, {"val_loss": 1.0}]), best_epoch([{}, {}])
    (2, 2)
    """
    losses = [figures["val_loss"] for figures in history if "val_loss" in figures]
    return 1 + losses.index(min(losses)) if losses else len(history)


def require_finite(figures: Mapping[str, float]) -> None:
    """Raises Impossible where a loss is no longer a number: nothing after it could be."""
    for name in ("loss", "val_loss"):
        if not math.isfinite(figures.get(name, 0.0)):
            raise Impossible(
                f"{name} is {figures[name]} in epoch {figures['epoch']:.0f}, at learning rate "
                f"{figures['learning_rate']:g}; the rate is set in tasks/model/zoo.py, if the examples are not to blame"
            )


def tell(on_epoch: OnEpoch, figures: Mapping[str, float]) -> None:
    """Tells a listener of one epoch of a history."""
    on_epoch(int(figures["epoch"]), {name: value for name, value in figures.items() if name != "epoch"})


def unheard() -> None:
    """Nobody wants to hear of steps."""


def heard(steps: Iterable[_T], on_step: OnStep) -> Iterator[_T]:
    """The same steps; a listener hears of each as it is asked for.

    >>> list(heard("ab", lambda: print("a step")))
    a step
    a step
    ['a', 'b']
    """
    for step in steps:
        on_step()
        yield step
