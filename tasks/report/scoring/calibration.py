"""Whether a model that says it is 80 % sure is right four times in five."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BINS = 15


@dataclass(frozen=True)
class ConfidenceBin:
    """Chunks whose answer was given about the same probability.

    n: how many.  confidence: the mean probability of their answers, 0..1.  accuracy: the share that was right, 0..1.
    """

    n: int
    confidence: float
    accuracy: float


class Calibration:
    """Adds up answers by how sure they were; what it keeps never grows."""

    def __init__(self) -> None:
        self._n = np.zeros(N_BINS, np.int64)
        self._right = np.zeros(N_BINS, np.int64)
        self._sure = np.zeros(N_BINS)

    def add(self, confidence: NDArray[np.float32], is_right: NDArray[np.bool_]) -> None:
        """confidence: (n,) probabilities of the answers, 0..1.  is_right: (n,) whether they were."""
        bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
        self._n += np.bincount(bins, minlength=N_BINS)
        self._right += np.bincount(bins, is_right, minlength=N_BINS).astype(np.int64)
        self._sure += np.bincount(bins, confidence, minlength=N_BINS)

    def bins(self) -> tuple[ConfidenceBin, ...]:
        """Those that hold an answer, from the least sure to the surest."""
        return tuple(
            ConfidenceBin(int(n), float(sure / n), float(right / n))
            for n, sure, right in zip(self._n, self._sure, self._right, strict=True)
            if n
        )


def pooled_bins(folds: Sequence[tuple[ConfidenceBin, ...]]) -> tuple[ConfidenceBin, ...]:
    """The bins of several folds added up."""
    pooled: dict[int, list[ConfidenceBin]] = {}
    for each in (each for bins in folds for each in bins):
        pooled.setdefault(min(int(each.confidence * N_BINS), N_BINS - 1), []).append(each)
    return tuple(_joined(pooled[place]) for place in sorted(pooled))


def _joined(bins: list[ConfidenceBin]) -> ConfidenceBin:
    n = sum(each.n for each in bins)
    means = (sum(each.n * getattr(each, name) for each in bins) / n for name in ("confidence", "accuracy"))
    return ConfidenceBin(n, *means)


def expected_error(bins: tuple[ConfidenceBin, ...]) -> float:
    """The expected calibration error, 0..1: how far confidence and accuracy are apart, by chunks; 0 without any.

    Source: Naeini, Cooper & Hauskrecht 2015, AAAI; 15 bins of equal width as in Guo et al. 2017, arXiv:1706.04599.

    >>> expected_error((ConfidenceBin(1, 0.5, 0.0), ConfidenceBin(3, 0.9, 1.0)))
    0.2
    """
    total = sum(each.n for each in bins)
    return round(sum(each.n * abs(each.confidence - each.accuracy) for each in bins) / total, 12) if total else 0.0
