"""Paired comparison of two models on the same recordings."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.report.scoring.interval import Counts, student_95

_COUNTS = ("recordings", "correct", "chunks", "correct_chunks")

_DRAWS = 10_000
_MOST_DRAWN_GROUPS = 5_000
_SEED = 0


def _no_counts() -> Counts:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class GroupOutcomes:
    """Results of one training for each group of its test subset, sorted by group name.

    recordings, correct: (G,) int64, number of recordings of a group and how many are correct; float64 for means over
    trainings and for weighted counts.
    chunks, correct_chunks: (G,), the same by chunk; empty if not counted.
    """

    groups: tuple[str, ...]
    recordings: Counts
    correct: Counts
    chunks: Counts = field(default_factory=_no_counts)
    correct_chunks: Counts = field(default_factory=_no_counts)

    def without(self, groups: Collection[str]) -> GroupOutcomes:
        """Return the outcomes of all other groups."""
        kept = np.array([group not in groups for group in self.groups], dtype=bool)
        counts = {name: found[kept] for name in _COUNTS if len(found := getattr(self, name)) == len(self.groups)}
        return GroupOutcomes(tuple(group for group in self.groups if group not in groups), **counts)

    def to_parquet(self) -> bytes:
        """Serialise to Parquet; equal outcomes give equal bytes."""
        buffer = io.BytesIO()
        counts = {name: counted for name in _COUNTS if len(counted := getattr(self, name)) == len(self.groups)}
        pq.write_table(pa.table({"group": pa.array(self.groups, pa.string()), **counts}), buffer)
        return buffer.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> GroupOutcomes:
        """Deserialise the output of `to_parquet`.

        Raises: pyarrow.ArrowInvalid if the data are not Parquet.
        """
        table = pq.ParquetFile(io.BytesIO(data)).read()  # avoids importing pyarrow.dataset, which takes half a second
        counts = (table[name].to_numpy() if name in table.column_names else _no_counts() for name in _COUNTS)
        return cls(tuple(table["group"].to_pylist()), *counts)


def mean_outcomes(trainings: Sequence[GroupOutcomes]) -> GroupOutcomes:
    """Average several trainings with the same groups, so that each group counts once.

    trainings: one or more. Chunk counts are omitted if any training lacks them.
    """
    groups = trainings[0].groups
    found = {name: [getattr(each, name) for each in trainings] for name in _COUNTS}
    known = {name: counts for name, counts in found.items() if all(len(each) == len(groups) for each in counts)}
    return GroupOutcomes(groups, **{name: np.mean(counts, axis=0) for name, counts in known.items()})


def equally_weighted(folds: Mapping[int | None, GroupOutcomes]) -> dict[int | None, GroupOutcomes]:
    """Scale the counts so that all folds have equal weight; the overall share then is the mean of the folds' shares."""
    counts = {"correct": "recordings", "correct_chunks": "chunks", "recordings": "recordings", "chunks": "chunks"}
    totals = {name: [float(getattr(each, name).sum()) for each in folds.values()] for name in ("recordings", "chunks")}
    weighed: dict[int | None, GroupOutcomes] = {}
    for at, (fold, each) in enumerate(folds.items()):
        weights = {name: np.mean(total) / total[at] if total[at] else 1.0 for name, total in totals.items()}
        of_fold = {name: getattr(each, name) * weights[units] for name, units in counts.items()}
        weighed[fold] = GroupOutcomes(each.groups, **of_fold)
    return weighed


@dataclass(frozen=True)
class Comparison:
    """A comparison of one model with another.

    difference: of their accuracies by recording, -1..1, negative if the first is worse.
    p: probability of a difference at least as large if both were equally good.  n_groups: number of common groups.
    interval: 95 % confidence interval of the difference.
    """

    difference: float
    p: float
    n_groups: int
    interval: tuple[float, float] = (-1.0, 1.0)


def compared(one: Mapping[int | None, GroupOutcomes], other: Mapping[int | None, GroupOutcomes]) -> Comparison | None:
    """Compare `one` with `other` on their common groups; None without any.

    one, other: fold number -> outcomes of one training, or the mean of several.
    """
    ours, theirs = _by_group(one), _by_group(other)
    both = sorted(ours.keys() & theirs.keys(), key=str)
    if not both:
        return None
    n, correct = (np.array([ours[key][at] for key in both]) for at in (0, 1))
    n_other, correct_other = (np.array([theirs[key][at] for key in both]) for at in (0, 1))
    difference = float(correct.sum() / n.sum() - correct_other.sum() / n_other.sum())
    p = sign_flip_p(correct / n.sum() - correct_other / n_other.sum())
    our_deviations, their_deviations = (_deviations(*each) for each in ((n, correct), (n_other, correct_other)))
    return Comparison(difference, p, len(both), paired_interval(difference, our_deviations - their_deviations))


def _deviations(n: Counts, correct: Counts) -> NDArray[np.float64]:
    """Return each group's contribution to the accuracy beyond its share; the contributions add up to 0."""
    deviations: NDArray[np.float64] = (correct - correct.sum() / n.sum() * n) / n.sum()
    return deviations


def paired_interval(difference: float, deviations: NDArray[np.float64]) -> tuple[float, float]:
    """Compute the 95 % interval of a difference of two accuracies, within -1..1.

    deviations: (G,) each group's contribution to the difference beyond its share; they add up to 0.
    One group gives -1..1. If all contributions are 0, the variance is unknown and the bounds are 3 / G away.
    Source: the variance of a difference of two ratios over clusters, L. Kish 1965, Survey Sampling, 6.5, with
    Student's quantile for G - 1 degrees of freedom; the rule of three, Hanley & Lippman-Hand 1983, JAMA 249(13).

    >>> paired_interval(0.1, np.zeros(30))
    (0.0, 0.2)
    """
    n_groups = len(deviations)
    if n_groups < 2:
        return -1.0, 1.0
    deviation = math.sqrt(float(np.square(deviations).sum()) * n_groups / (n_groups - 1))
    is_zero = deviation < 1e-9  # Sums of zero are not exactly 0 after rounding.
    half = 3 / n_groups if is_zero else student_95(n_groups - 1) * deviation
    return max(-1.0, difference - half), min(1.0, difference + half)


def _by_group(folds: Mapping[int | None, GroupOutcomes]) -> dict[tuple[int | None, str], tuple[float, float]]:
    return {
        (fold, group): (float(n), float(correct))
        for fold, outcomes in folds.items()
        for group, n, correct in zip(outcomes.groups, outcomes.recordings, outcomes.correct, strict=True)
    }


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Compute the two-sided p-value of a mean of paired differences by random sign flips.

    differences: (G,), one per group; groups are independent, recordings of one author or night are not.
    Returns 0..1, from 10,000 draws with a fixed seed, the observed value included. Above 5,000 differing groups it uses
    the normal approximation.
    Source: Fisher's randomisation test for pairs, as in Good 2005, Permutation, Parametric and Bootstrap Tests.

    >>> sign_flip_p(np.zeros(7)), round(sign_flip_p(np.ones(7)), 2)
    (1.0, 0.02)
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    observed = abs(float(nonzero.sum()))
    if len(nonzero) > _MOST_DRAWN_GROUPS:
        return math.erfc(observed / math.sqrt(2 * float(np.square(nonzero).sum())))
    draw = np.random.default_rng(_SEED)
    n_as_large = 1
    for _ in range(_DRAWS // 1000):
        signs = draw.integers(0, 2, (1000, len(nonzero)), dtype=np.int8) * 2 - 1
        n_as_large += int((np.abs(signs @ nonzero) >= observed * (1 - 1e-9)).sum())
    return n_as_large / (_DRAWS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple comparisons, keeping their order.

    Source: S. Holm 1979, Scand. J. Stat. 6(2), 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps, kind="stable")
    scaled = np.asarray(ps, float)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]
