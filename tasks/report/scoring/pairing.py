"""Two models on the same recordings: whether one is better, or only luckier."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
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


def _nothing() -> Counts:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class GroupOutcomes:
    """How one training did in each group of its test side, groups in the order of their names.

    recordings, correct: (G,) int64, how many a group has and how many of them were named correctly; float64 where they
    are means over several trainings, or weighed.
    chunks, correct_chunks: (G,), the same by chunk; without an element where they were not counted.
    """

    groups: tuple[str, ...]
    recordings: Counts
    correct: Counts
    chunks: Counts = field(default_factory=_nothing)
    correct_chunks: Counts = field(default_factory=_nothing)

    def to_parquet(self) -> bytes:
        """The same outcomes give the same bytes."""
        held = io.BytesIO()
        counts = {name: counted for name in _COUNTS if len(counted := getattr(self, name)) == len(self.groups)}
        pq.write_table(pa.table({"group": pa.array(self.groups, pa.string()), **counts}), held)
        return held.getvalue()

    @classmethod
    def from_parquet(cls, data: bytes) -> GroupOutcomes:
        """What `to_parquet` wrote. Raises pyarrow.ArrowInvalid for anything that is no Parquet file."""
        table = pq.ParquetFile(io.BytesIO(data)).read()  # without the half second of pyarrow.dataset
        counts = (table[name].to_numpy() if name in table.column_names else _nothing() for name in _COUNTS)
        return cls(tuple(table["group"].to_pylist()), *counts)


def mean_outcomes(trainings: Sequence[GroupOutcomes]) -> GroupOutcomes:
    """The mean of several trainings that were judged on the same groups: a group answers once, however often asked.

    trainings: one or more. Chunks are left out where any of them was judged without.
    """
    groups = trainings[0].groups
    found = {name: [getattr(each, name) for each in trainings] for name in _COUNTS}
    known = {name: counts for name, counts in found.items() if all(len(each) == len(groups) for each in counts)}
    return GroupOutcomes(groups, **{name: np.mean(counts, axis=0) for name, counts in known.items()})


def equally_weighted(folds: Mapping[int | None, GroupOutcomes]) -> dict[int | None, GroupOutcomes]:
    """The same outcomes with every fold counted as if it were of the mean size: the share of all is the folds' mean."""
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
    """One model against another.

    difference: of their accuracies by recording, -1..1, below 0 where this one is worse.  p: the chance of a
    difference at least as large if both were equally good.  n_groups: groups both were judged on.
    interval: 95 % bounds of the difference.
    """

    difference: float
    p: float
    n_groups: int
    interval: tuple[float, float] = (-1.0, 1.0)


def compared(one: Mapping[int | None, GroupOutcomes], other: Mapping[int | None, GroupOutcomes]) -> Comparison | None:
    """`one` against `other`, on the groups that both were judged on; None where there is none.

    one, other: the outcomes of each fold, of one training or the mean of several, by the fold's number.
    """
    ours, theirs = _by_group(one), _by_group(other)
    both = sorted(ours.keys() & theirs.keys(), key=str)
    if not both:
        return None
    n, right = (np.array([ours[key][at] for key in both]) for at in (0, 1))
    n_other, right_other = (np.array([theirs[key][at] for key in both]) for at in (0, 1))
    difference = float(right.sum() / n.sum() - right_other.sum() / n_other.sum())
    p = sign_flip_p(right / n.sum() - right_other / n_other.sum())
    ours_off, theirs_off = (_off_the_mean(*each) for each in ((n, right), (n_other, right_other)))
    return Comparison(difference, p, len(both), paired_interval(difference, ours_off - theirs_off))


def _off_the_mean(n: Counts, right: Counts) -> NDArray[np.float64]:
    """What each group adds to an accuracy beyond its share, so that all of them add up to nothing."""
    off: NDArray[np.float64] = (right - right.sum() / n.sum() * n) / n.sum()
    return off


def paired_interval(difference: float, off: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of a difference of two accuracies, within -1..1; all of that where one group says nothing.

    off: (G,) what each group adds to the difference beyond its share; they add up to 0. Where all of them are 0 the
    spread says nothing either, and the bounds are 3 / G away.
    Source: the variance of a difference of two ratios over clusters, L. Kish 1965, Survey Sampling, 6.5, with
    Student's quantile for G - 1 degrees of freedom; the rule of three, Hanley & Lippman-Hand 1983, JAMA 249(13).

    >>> paired_interval(0.1, np.zeros(30))
    (0.0, 0.2)
    """
    n_groups = len(off)
    if n_groups < 2:
        return -1.0, 1.0
    deviation = math.sqrt(float(np.square(off).sum()) * n_groups / (n_groups - 1))
    is_none = deviation < 1e-9  # rounding leaves some of what adds up to 0
    half = 3 / n_groups if is_none else student_95(n_groups - 1) * deviation
    return max(-1.0, difference - half), min(1.0, difference + half)


def _by_group(folds: Mapping[int | None, GroupOutcomes]) -> dict[tuple[int | None, str], tuple[float, float]]:
    return {
        (fold, group): (float(n), float(right))
        for fold, outcomes in folds.items()
        for group, n, right in zip(outcomes.groups, outcomes.recordings, outcomes.correct, strict=True)
    }


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """The two-sided p of a mean of paired differences, by flipping their signs at random.

    differences: (G,), one a group; groups, unlike recordings of one author or night, are independent of each other.
    Returns 0..1: over 10,000 draws with a fixed seed, the observed one counted; beyond 5,000 groups that differ, by
    the normal law that the flips then follow.
    Source: Fisher's randomisation test for pairs, as in Good 2005, Permutation, Parametric and Bootstrap Tests.

    >>> sign_flip_p(np.zeros(7)), round(sign_flip_p(np.ones(7)), 2)
    (1.0, 0.02)
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    observed = abs(float(moved.sum()))
    if len(moved) > _MOST_DRAWN_GROUPS:
        return math.erfc(observed / math.sqrt(2 * float(np.square(moved).sum())))
    draw = np.random.default_rng(_SEED)
    n_as_large = 1
    for _ in range(_DRAWS // 1000):
        signs = draw.integers(0, 2, (1000, len(moved)), dtype=np.int8) * 2 - 1
        n_as_large += int((np.abs(signs @ moved) >= observed * (1 - 1e-9)).sum())
    return n_as_large / (_DRAWS + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """The p values of several comparisons at once, made larger for their number, in the order given.

    Source: S. Holm 1979, Scand. J. Stat. 6(2), 65-70.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(ps, kind="stable")
    scaled = np.asarray(ps, float)[order] * np.arange(len(ps), 0, -1)
    adjusted = np.empty(len(ps))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]
