"""How alike synthetic examples are to real ones: alike enough, not copies, and not all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from domain.errors import Impossible

Vectors = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_BLOCK = 512
_NEAR_SHARE = 0.01
COLLAPSED_BELOW = 0.5
"""Below this share of the spread of real examples, a generator repeats itself."""
COPIES_ABOVE = 0.05
"""Above this share of synthetic examples that lie suspiciously near a training example, it copies."""
FEWEST_HELD_OUT = 256
"""With fewer held-out examples a Fréchet distance over 128 axes is mostly that of small sets from each other."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Examples as a classifier sees them.

    vectors: (n, d).  labels: (n,) what they are, answers: (n,) what they are called, numbers in the run's list of
    classes.
    """

    vectors: Vectors
    labels: Labels
    answers: Labels


@dataclass(frozen=True)
class CopyCheck:
    """Distances to the nearest training example, of synthetic ones and of real ones that were held out.

    ratio: of the medians; 1 where synthetic examples are as far from the training side as unheard recordings are,
    near 0 where they repeat it.  share_near: of the synthetic ones, those nearer than the nearest hundredth of the
    held-out ones, which is the nearest one where there are few.  share_usual: what unheard recordings would give.
    p: the chance of so many too near, if synthetic examples were unheard recordings.
    n_learnt_from: examples of the training side they were compared with, augmented copies too.
    """

    ratio: float
    share_near: float
    share_usual: float = _NEAR_SHARE
    p: float = 1.0
    n_learnt_from: int = 0


@dataclass(frozen=True)
class Likeness:
    """A generator judged against the test side of its fold, by an embedding that never saw that side.

    frechet, real_frechet: distance of synthetic, and of training examples, to held-out real ones.
    diversity: for each label, the mean distance between two synthetic examples of it over that between two real ones
    of the training side; None where a class has fewer than two of either.
    agreement: share of synthetic examples that the classifier names as the class they were made for, 0..1.
    """

    labels: tuple[str, ...]
    frechet: float
    real_frechet: float
    copies: CopyCheck
    diversity: tuple[float | None, ...]
    agreement: float
    n_synthetic: int
    n_train: int
    n_held_out: int

    @property
    def median_diversity(self) -> float:
        """Over the classes that have one; 0 without any."""
        return float(np.median([each for each in self.diversity if each is not None] or [0.0]))

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The classes whose synthetic examples are hardly different from each other."""
        rows = zip(self.labels, self.diversity, strict=True)
        return tuple(label for label, each in rows if each is not None and each < COLLAPSED_BELOW)

    def is_copying(self, n_asked: int = 1) -> bool:
        """Whether far more synthetic examples lie close to the training side than real ones would, beyond chance.

        n_asked: of how many trainings this is asked; the more, the less chance is left to each (Bonferroni).
        """
        return self.copies.share_near > COPIES_ABOVE and self.copies.p * n_asked < 0.05

    def figures(self) -> dict[str, float]:
        """Its measures, a number each."""
        return {
            "frechet": self.frechet, "real_frechet": self.real_frechet, "copy_ratio": self.copies.ratio,
            "copy_share": self.copies.share_near, "diversity": self.median_diversity, "agreement": self.agreement,
            "n_synthetic": float(self.n_synthetic),
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The value whose `as_dict` went through JSON. Raises KeyError or TypeError where a field is missing."""
        made = {"copies": CopyCheck(**fields["copies"]), "labels": tuple(fields["labels"])}
        return cls(**{**fields, **made, "diversity": tuple(fields["diversity"])})


def judged_likeness(
    labels: tuple[str, ...], synthetic: Embedded, train: Embedded, held_out: Embedded, learnt_from: Iterable[Vectors]
) -> Likeness:
    """All measures at once; the two Fréchet distances are of equally many examples, the first ones.

    train: real examples of the training side, not necessarily all.  learnt_from: the vectors of every one, block by
    block, for a copy may be of any.
    Raises Impossible where a side holds fewer than two examples.
    """
    n = min(len(synthetic.labels), len(train.labels))
    return Likeness(
        labels=labels,
        frechet=frechet_distance(synthetic.vectors[:n], held_out.vectors),
        real_frechet=frechet_distance(train.vectors[:n], held_out.vectors),
        copies=copy_check(synthetic.vectors, held_out.vectors, learnt_from),
        diversity=diversity(synthetic, train, len(labels)),
        agreement=float((synthetic.answers == synthetic.labels).mean()),
        n_synthetic=len(synthetic.labels),
        n_train=len(train.labels),
        n_held_out=len(held_out.labels),
    )


def frechet_distance(one: Vectors, other: Vectors) -> float:
    """The Fréchet distance between the normal distributions fitted to two sets of vectors.

    one, other: (n, d) and (m, d), n and m at least 2.  Returns 0 or more; it shrinks as n and m grow, so only
    distances of equally large sets can be compared.
    Raises Impossible for fewer than two vectors.
    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", arXiv:1706.08500, there with the
    embedding of Inception.
    """
    if min(len(one), len(other)) < 2:
        raise Impossible(f"{len(one)} and {len(other)} examples are too few to be compared; each needs two or more")
    one, other = one.astype(np.float64), other.astype(np.float64)
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    return normal_frechet(one.mean(axis=0) - other.mean(axis=0), *map(np.atleast_2d, covariances))


def normal_frechet(between_means: Vectors, one: Vectors, other: Vectors) -> float:
    """The same of two normal distributions: |m|^2 + tr(A + B - 2 (A B)^1/2).

    between_means: (d,).  one, other: (d, d), their covariances.  The trace of the root is the sum of the roots of the
    eigenvalues of A^1/2 B A^1/2, which is symmetric, so that nothing complex appears where A or B has no full rank.
    Source: Dowson & Landau 1982, J. Multivar. Anal. 12(3), 450-455.

    >>> normal_frechet(np.array([3.0, 4.0]), np.eye(2), 4 * np.eye(2))
    27.0
    """
    values, axes = np.linalg.eigh(one)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return max(0.0, float(between_means @ between_means + np.trace(one) + np.trace(other) - 2 * shared))


def copy_check(synthetic: Vectors, held_out: Vectors, train: Iterable[Vectors]) -> CopyCheck:
    """How near synthetic vectors come to training vectors, beside how near held-out ones do.

    synthetic, held_out: (n, d), n at least 1.  train: blocks of such, one at a time in memory, and looked at once.
    Raises Impossible where one is empty.
    Source: nearest neighbours as a test of memorising, after Meehan et al. 2020, arXiv:2004.05675. Of n distances, how
    many lie below the r-th of m others of the same law follows a beta-binomial law with r and m + 1 - r.
    """
    n, m = len(synthetic), len(held_out)
    nearest, n_learnt_from = nearest_distances(np.concatenate([synthetic, held_out]), train if n and m else ())
    if not n_learnt_from:
        raise Impossible("no synthetic, held-out or training examples; all three are compared")
    ours, theirs = nearest[:n], np.sort(nearest[n:])
    r = max(1, int(m * _NEAR_SHARE))
    n_near = int((ours < theirs[r - 1]).sum())
    usual = float(np.median(theirs))
    return CopyCheck(
        ratio=float(np.median(ours)) / usual if usual else 0.0,
        share_near=n_near / n,
        share_usual=r / (m + 1),
        p=float(betabinom.sf(n_near - 1, n, r, m + 1 - r)),
        n_learnt_from=n_learnt_from,
    )


def nearest_distances(points: Vectors, among: Iterable[Vectors]) -> tuple[NDArray[np.float64], int]:
    """(n,) the Euclidean distance of each point to the nearest of the others, infinite where there is none.

    With it comes how many others there were.
    points: (n, d).  among: blocks of (m, d), looked at once.
    """
    points = points.astype(np.float64)
    squares, nearest, n_others = (points**2).sum(axis=1), np.full(len(points), np.inf), 0
    for block in among:
        if not len(block):
            continue
        others, n_others = block.astype(np.float64), n_others + len(block)
        other_squares = (others**2).sum(axis=1)
        for start in range(0, len(points), _BLOCK):
            part = slice(start, start + _BLOCK)
            between = squares[part, np.newaxis] + other_squares - 2 * points[part] @ others.T
            np.minimum(nearest[part], between.min(axis=1), out=nearest[part])
    return np.sqrt(nearest.clip(0)), n_others


def _distances(one: Vectors, other: Vectors) -> NDArray[np.float64]:
    one, other = one.astype(np.float64), other.astype(np.float64)
    squares = (one**2).sum(axis=1)[:, np.newaxis] + (other**2).sum(axis=1) - 2 * one @ other.T
    distances: NDArray[np.float64] = np.sqrt(squares.clip(0))
    return distances


def diversity(synthetic: Embedded, real: Embedded, n_classes: int) -> tuple[float | None, ...]:
    """For each class, how far apart two synthetic examples are, over how far apart two real ones are.

    About 1 where a class is painted as varied as it is, near 0 where one picture is painted again and again; None
    where a class has fewer than two of either, or the real ones do not differ.
    """
    return tuple(
        _ratio(*(mean_pair_distance(each.vectors[each.labels == label]) for each in (synthetic, real)))
        for label in range(n_classes)
    )


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def mean_pair_distance(vectors: Vectors) -> float | None:
    """The mean Euclidean distance between two of the vectors, over at most 512 of them; None for fewer than two."""
    n = min(len(vectors), _BLOCK)
    if n < 2:
        return None
    return float(_distances(vectors[:n], vectors[:n]).sum() / (n * (n - 1)))
