"""How sure an accuracy is: Wilson's interval, and what chunks and recordings of one group are worth in it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Counts = NDArray[np.int64] | NDArray[np.float64]
"""How many, a cluster; means of several countings, and weighed ones, are float64."""
_Z_95 = 1.959963984540054  # the normal quantile that leaves 2.5 % on each side


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share seen in n independent trials, within 0..1.

    share: 0..1.  n: trials, > 0, not necessarily whole (an effective number of trials).
    Raises nothing for such input.
    Source: E. B. Wilson 1927, J. Am. Stat. Assoc. 22(158), 209-212.

    >>> [round(bound, 3) for bound in wilson_interval(0.8, 10)]
    [0.49, 0.943]
    """
    shrink = 1 + _Z_95**2 / n
    centre = (share + _Z_95**2 / (2 * n)) / shrink
    half = _Z_95 / shrink * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_interval(correct: Counts, units: Counts) -> tuple[float, float] | None:
    """The 95 % interval of the share of units that are right, which come cluster by cluster; None for no unit.

    correct, units: (R,) counts a cluster, or means of several, or such weighed.
    """
    n = float(units.sum())
    return wilson_interval(float(correct.sum()) / n, effective_n(correct, units)) if n else None


def effective_n(correct: Counts, units: Counts) -> float:
    """How many independent units carry as much evidence as these, which come cluster by cluster.

    correct, units: (R,) counts a cluster: chunks or recordings of each group.  Returns 1..sum(units): of many clusters,
    their number where each is wholly right or wholly wrong, all units where right and wrong fall evenly within them.
    Few clusters tell little of how much clusters differ, and are worth less; a single one is worth one unit.  They
    are counted by Kish's effective number, to which a few large ones among many small ones are few.  Where every unit
    is right, or every one wrong, the spread says nothing, so a cluster's units are taken as one.
    Source: the variance of a ratio over clusters and its design effect, L. Kish 1965, Survey Sampling; reduced for its
    degrees of freedom by the squared ratio of Student's quantiles, Korn & Graubard 1998, Surv. Methodol. 24(2),
    193-201; used within Wilson's interval as in Franco, Little, Louis & Slud 2019, J. Surv. Stat. Methodol. 7(3).
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
    """Student's quantile that leaves 2.5 % on each side; degrees_of_freedom: > 0, not necessarily whole."""
    return float(stdtrit(degrees_of_freedom, 0.975))
