"""Calibration: how well the probabilities of predictions match their accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BINS = 15


@dataclass(frozen=True)
class ConfidenceBin:
    """Chunks whose predictions have similar probabilities.

    n: number of chunks.  confidence: mean probability of the predictions, 0..1.  accuracy: share correct, 0..1.
    """

    n: int
    confidence: float
    accuracy: float


class Calibration:
    """Accumulates predictions in confidence bins, in constant memory."""

    def __init__(self) -> None:
        self._n = np.zeros(N_BINS, np.int64)
        self._right = np.zeros(N_BINS, np.int64)
        self._sure = np.zeros(N_BINS)

    def add(self, confidence: NDArray[np.float32], is_right: NDArray[np.bool_]) -> None:
        """Add a batch.

        confidence: (n,) probabilities of the predictions, 0..1.  is_right: (n,) True if correct.
        """
        bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
        self._n += np.bincount(bins, minlength=N_BINS)
        self._right += np.bincount(bins, is_right, minlength=N_BINS).astype(np.int64)
        self._sure += np.bincount(bins, confidence, minlength=N_BINS)

    def bins(self) -> tuple[ConfidenceBin, ...]:
        """Return the non-empty bins by ascending confidence."""
        return tuple(
            ConfidenceBin(int(n), float(sure / n), float(right / n))
            for n, sure, right in zip(self._n, self._sure, self._right, strict=True)
            if n
        )


def pooled_bins(folds: Sequence[tuple[ConfidenceBin, ...]]) -> tuple[ConfidenceBin, ...]:
    """Add up the bins of several folds."""
    pooled: dict[int, list[ConfidenceBin]] = {}
    for each in (each for bins in folds for each in bins):
        pooled.setdefault(min(int(each.confidence * N_BINS), N_BINS - 1), []).append(each)
    return tuple(_joined(pooled[place]) for place in sorted(pooled))


def _joined(bins: list[ConfidenceBin]) -> ConfidenceBin:
    n = sum(each.n for each in bins)
    means = (sum(each.n * getattr(each, name) for each in bins) / n for name in ("confidence", "accuracy"))
    return ConfidenceBin(n, *means)


def expected_error(bins: tuple[ConfidenceBin, ...]) -> float:
    """Return the expected calibration error, 0..1: |confidence - accuracy| averaged over chunks; 0 without chunks.

    Source: Naeini, Cooper & Hauskrecht 2015, AAAI; 15 bins of equal width as in Guo et al. 2017, arXiv:1706.04599.

    >>> expected_error((ConfidenceBin(1, 0.5, 0.0), ConfidenceBin(3, 0.9, 1.0)))
    0.2
    """
    total = sum(each.n for each in bins)
    return round(sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / total, 12) if total else 0.0
