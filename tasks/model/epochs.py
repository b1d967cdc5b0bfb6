"""What happened in each epoch: its figures, its seconds, and the sentence that ends a training gone wrong."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tasks.failures import Impossible

OnEpoch = Callable[[int, dict[str, float]], None]


class EpochLog:
    """Collects the epochs of one training and passes each on as it ends."""

    def __init__(self, on_epoch: OnEpoch, clock: Callable[[], float]) -> None:
        self._on_epoch = on_epoch
        self._clock = clock
        self._started = 0.0
        self._trained: float | None = None
        self._epochs_s: list[float] = []
        self._trainings_s: list[float] = []
        self.history: list[dict[str, float]] = []

    def callback(self, learning_rate: Callable[[], float]) -> Any:
        """The keras callback that keeps this log; `learning_rate` is asked before other callbacks change it."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda _epoch, _logs: self._begin(),
            on_test_begin=lambda _logs: self._validate(),
            on_epoch_end=lambda epoch, logs: self._end(epoch + 1, logs | {"learning_rate": learning_rate()}),
        )

    @property
    def best_epoch(self) -> int:
        """The first of those with the lowest validation loss, or the last where there was no validation."""
        losses = [figures["val_loss"] for figures in self.history if "val_loss" in figures]
        return 1 + losses.index(min(losses)) if losses else len(self.history)

    @property
    def epoch_s(self) -> float:
        """Median seconds of an epoch; the first also compiles and counts only when alone."""
        return statistics.median(self._epochs_s[1:] or self._epochs_s)

    @property
    def training_s(self) -> float:
        """The same without validation."""
        return statistics.median(self._trainings_s[1:] or self._trainings_s)

    def _begin(self) -> None:
        self._started, self._trained = self._clock(), None

    def _validate(self) -> None:
        self._trained = self._clock()

    def _end(self, epoch: int, logs: Mapping[str, Any]) -> None:
        ended = self._clock()
        self._epochs_s.append(ended - self._started)
        self._trainings_s.append((ended if self._trained is None else self._trained) - self._started)
        figures = {name: float(value) for name, value in logs.items()}
        require_finite(epoch, figures)
        self.history.append({"epoch": epoch, **figures})
        self._on_epoch(epoch, figures)


def require_finite(epoch: int, figures: Mapping[str, float]) -> None:
    """Raises Impossible where a loss is no longer a number: nothing after it could be."""
    for name in ("loss", "val_loss"):
        if not math.isfinite(figures.get(name, 0.0)):
            raise Impossible(
                f"{name} is {figures[name]} in epoch {epoch}, at learning rate {figures['learning_rate']:g}; "
                "train with a lower one"
            )
