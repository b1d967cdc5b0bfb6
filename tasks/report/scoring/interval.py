"""Confidence intervals of accuracies: Wilson's interval with the effective number of related units."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Counts = NDArray[np.int64] | NDArray[np.float64]
"""Counts per cluster; means over seeds and weighted counts are float64."""
_Z_95 = 1.959963984540054  # the normal quantile that leaves 2.5 % on each side


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """Compute the 95 % Wilson score interval of a share of n independent trials.

    share: 0..1.  n: number of trials, > 0; may be fractional, as an effective number.  Returns bounds in 0..1.
    Source: E. B. Wilson 1927, J. Am. Stat. Assoc. 22(158), 209-212.

    >>> [round(bound, 3) for bound in wilson_interval(0.8, 10)]
    [0.49, 0.943]
    """
    shrink = 1 + _Z_95**2 / n
    centre = (share + _Z_95**2 / (2 * n)) / shrink
    half = _Z_95 / shrink * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_interval(correct: Counts, units: Counts) -> tuple[float, float] | None:
    """Compute the 95 % interval of the share of correct units, which are clustered; None without units.

    correct, units: (R,) counts per cluster; means and weighted counts are allowed.
    """
    n = float(units.sum())
    return wilson_interval(float(correct.sum()) / n, effective_n(correct, units)) if n else None


def effective_n(correct: Counts, units: Counts) -> float:
    """Return the number of independent units that carry as much information as these clustered ones.

    correct, units: (R,) counts per cluster: chunks or recordings of each group.
    Returns 1..sum(units). With many clusters it is their number if each is all correct or all wrong, and all units if
    errors are spread evenly. Few clusters estimate the variance between clusters poorly, which reduces the result; one
    cluster counts as one unit. Clusters are counted by Kish's effective number, which is smaller for unequal sizes.
    If all units are correct, or all wrong, the variance is unknown and each cluster counts as one unit.
    Source: the variance of a ratio over clusters and its design effect, L. Kish 1965, Survey Sampling; the reduction
    for degrees of freedom by the squared ratio of Student's quantiles, Korn & Graubard 1998, Surv. Methodol. 24(2),
    193-201; use within Wilson's interval, Franco, Little, Louis & Slud 2019, J. Surv. Stat. Methodol. 7(3).
    """
    n = float(units.sum())
    share, n_clusters = float(correct.sum()) / n, n**2 / float(np.square(units.astype(float)).sum())
    if share in (0.0, 1.0):
        return n_clusters
    if n_clusters <= 1 or n <= 1:
        return 1.0
    variance = float(np.square(correct - share * units).sum()) / n**2 * n_clusters / (n_clusters - 1)
    independent = share * (1 - share) / (n - 1)
    evidence = n * min(1.0, independent / variance) if variance > 0 else n
    return max(1.0, min(n, evidence * (student_95(n - 1) / student_95(n_clusters - 1)) ** 2))


def student_95(degrees_of_freedom: float) -> float:
    """Return Student's 97.5 % quantile; degrees_of_freedom: > 0, may be fractional."""
    return float(stdtrit(degrees_of_freedom, 0.975))
