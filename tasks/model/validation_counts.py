"""How a trained network scores the windows of its validation subset: counts by class and score."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEPS = 1000
"""Scores from 0 to 1 are counted in steps of 1 / STEPS."""
_EDGES = (np.arange(1, STEPS + 1) / STEPS).astype(np.float32)

Scored = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scores (n, classes) of some windows, 0 to 1, and the numbers (n,) of their classes."""


@dataclass(frozen=True, eq=False)
class ValidationCounts:
    """Windows by class and score; their size does not depend on the number of windows.

    own: (classes, STEPS + 1) int32; `own[c, k]` windows of class c have a score for c of at least k / STEPS and less
    than (k + 1) / STEPS, compared as float32, as thresholds are.
    other: likewise, the windows of all other classes.  n_networks: whose counts were added.
    """

    own: NDArray[np.int32]
    other: NDArray[np.int32]
    n_networks: int = 1

    @staticmethod
    def of(n_classes: int, batches: Iterable[Scored]) -> ValidationCounts:
        """Count the windows of one network; one batch is in memory at a time."""
        own, other = (np.zeros((n_classes, STEPS + 1), np.int32) for _ in range(2))
        for scores, truth in batches:
            steps = np.searchsorted(_EDGES, scores, side="right")
            is_own = truth[:, np.newaxis] == np.arange(n_classes)
            places = np.arange(n_classes) * (STEPS + 1) + steps
            np.add.at(own.reshape(-1), places[is_own], 1)
            np.add.at(other.reshape(-1), places[~is_own], 1)
        return ValidationCounts(own, other)

    def __add__(self, more: ValidationCounts) -> ValidationCounts:
        """Pool the counts of networks with the same classes."""
        return ValidationCounts(self.own + more.own, self.other + more.other, self.n_networks + more.n_networks)

    @property
    def n_windows(self) -> int:
        """Number of windows, of all networks; a window that two networks scored counts twice."""
        return int(self.own.sum())

    def to_bytes(self) -> bytes:
        """Return the file of one network; equal counts give equal bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, own=self.own, other=self.other)
        return file.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> ValidationCounts:
        """Return the counts in a file that `to_bytes` made. data: already verified."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return ValidationCounts(arrays["own"], arrays["other"])
