"""Measure how well a generator imitates real examples: realism, copying and diversity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom

from domain.errors import Impossible
from domain.frozen_words import N_COMPARED

Vectors = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

_BLOCK = 512
_NEAR_SHARE = 0.01
COLLAPSE_THRESHOLD = 0.5
"""A class whose diversity is below this share of that of real examples counts as collapsed."""
COPY_THRESHOLD = 0.05
"""A generator copies if a larger share of its examples is suspiciously near a training example."""
MIN_HELD_OUT = 256
"""With fewer held-out examples, set size dominates a Fréchet distance over 128 dimensions."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Examples with a classifier's embedding and predictions.

    vectors: (n, d).  labels: (n,) true label numbers.  predicted: (n,) predicted label numbers.
    """

    vectors: Vectors
    labels: Labels
    predicted: Labels


@dataclass(frozen=True)
class CopyCheck:
    """Distances to the nearest training example, of synthetic and of held-out real examples.

    ratio: of the medians, synthetic over held-out; near 1 without copying, near 0 for copies.
    share_near: share of synthetic examples nearer than the nearest hundredth of the held-out ones (the nearest one if
    there are fewer than 200).  share_usual: the expected share for unseen recordings.
    p: probability of at least this share if the synthetic examples were unseen recordings.
    n_training: training examples compared with, augmented copies included.
    """

    ratio: float
    share_near: float
    share_usual: float = _NEAR_SHARE
    p: float = 1.0
    n_training: int = 0


@dataclass(frozen=True)
class GeneratorEvaluation:
    """Measures of a generator against the test subset of its fold, in the embedding of a classifier trained without it.

    frechet, real_frechet: Fréchet distance of synthetic and of training examples to held-out real ones.
    diversity: per label, the mean distance between synthetic examples over that between real training examples; None
    if either has fewer than two.
    agreement: share of synthetic examples that the classifier predicts as their intended class, 0..1.
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
        """The median over the classes that have a diversity; 0 without any."""
        return float(np.median([each for each in self.diversity if each is not None] or [0.0]))

    @property
    def collapsed(self) -> tuple[str, ...]:
        """The classes whose diversity is below COLLAPSE_THRESHOLD."""
        rows = zip(self.labels, self.diversity, strict=True)
        return tuple(label for label, each in rows if each is not None and each < COLLAPSE_THRESHOLD)

    def is_copying(self, n_trainings: int = 1) -> bool:
        """Return True if significantly more synthetic than unseen real examples lie near training examples.

        n_trainings: number of trainings tested; p is adjusted for it (Bonferroni).
        """
        return self.copies.share_near > COPY_THRESHOLD and self.copies.p * n_trainings < 0.05

    def metrics(self) -> dict[str, float]:
        """Return the measures as ledger metrics."""
        return {
            "frechet": self.frechet, "real_frechet": self.real_frechet, "copy_ratio": self.copies.ratio,
            "copy_share": self.copies.share_near, "diversity": self.median_diversity, "agreement": self.agreement,
            "n_synthetic": float(self.n_synthetic),
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        fields = asdict(self)
        fields["copies"][N_COMPARED] = fields["copies"].pop("n_training")
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value from its JSON form.

        Raises: KeyError or TypeError if a field is missing.
        """
        copies = dict(fields["copies"])
        copies["n_training"] = copies.pop(N_COMPARED, 0)
        labels, diversities = tuple(fields["labels"]), tuple(fields["diversity"])
        return cls(**{**fields, "copies": CopyCheck(**copies), "labels": labels, "diversity": diversities})


def measure_generator(
    labels: tuple[str, ...],
    synthetic: Embedded,
    train: Embedded,
    held_out: Embedded,
    training_vectors: Iterable[Vectors],
) -> GeneratorEvaluation:
    """Compute all measures; both Fréchet distances use equally many examples, the first ones.

    train: real training examples, possibly a part.  training_vectors: blocks of (m, d) vectors of all of them, because
    any may have been copied.
    Raises: Impossible if a set has fewer than two examples.
    """
    n = min(len(synthetic.labels), len(train.labels))
    return GeneratorEvaluation(
        labels=labels,
        frechet=frechet_distance(synthetic.vectors[:n], held_out.vectors),
        real_frechet=frechet_distance(train.vectors[:n], held_out.vectors),
        copies=copy_check(synthetic.vectors, held_out.vectors, training_vectors),
        diversity=diversity(synthetic, train, len(labels)),
        agreement=float((synthetic.predicted == synthetic.labels).mean()),
        n_synthetic=len(synthetic.labels),
        n_train=len(train.labels),
        n_held_out=len(held_out.labels),
    )


def frechet_distance(one: Vectors, other: Vectors) -> float:
    """Compute the Fréchet distance between the normal distributions fitted to two sets of vectors.

    one, other: (n, d) and (m, d), n and m at least 2.
    Returns 0 or more. It decreases as n and m grow, so compare only distances of equally large sets.
    Raises: Impossible for fewer than two vectors.
    Source: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", arXiv:1706.08500, there with the
    embedding of Inception.
    """
    if min(len(one), len(other)) < 2:
        raise Impossible(f"cannot compare sets of {len(one)} and {len(other)} examples; each needs at least two")
    one, other = one.astype(np.float64), other.astype(np.float64)
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    return normal_frechet(one.mean(axis=0) - other.mean(axis=0), *map(np.atleast_2d, covariances))


def normal_frechet(between_means: Vectors, one: Vectors, other: Vectors) -> float:
    """Compute the Fréchet distance of two normal distributions: |m|^2 + tr(A + B - 2 (A B)^1/2).

    between_means: m, (d,).  one, other: the covariances A and B, (d, d).
    The trace of the root is the sum of the roots of the eigenvalues of the symmetric A^1/2 B A^1/2, which avoids
    complex values if A or B is singular.
    Source: Dowson & Landau 1982, J. Multivar. Anal. 12(3), 450-455.

    >>> normal_frechet(np.array([3.0, 4.0]), np.eye(2), 4 * np.eye(2))
    27.0
    """
    values, axes = np.linalg.eigh(one)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ other @ root).clip(0)).sum()
    return max(0.0, float(between_means @ between_means + np.trace(one) + np.trace(other) - 2 * shared))


def copy_check(synthetic: Vectors, held_out: Vectors, train: Iterable[Vectors]) -> CopyCheck:
    """Compare how near synthetic and held-out vectors are to training vectors.

    synthetic, held_out: (n, d), n at least 1.  train: blocks of vectors, read once, one in memory at a time.
    Raises: Impossible if one is empty.
    Source: nearest neighbours as a test of memorising, after Meehan et al. 2020, arXiv:2004.05675. If n and m distances
    have the same distribution, the number of the n below the r-th smallest of the m is beta-binomial with parameters
    r and m + 1 - r.
    """
    n, m = len(synthetic), len(held_out)
    nearest, n_training = nearest_distances(np.concatenate([synthetic, held_out]), train if n and m else ())
    if not n_training:
        raise Impossible("the synthetic, held-out or training examples are missing; the copy check needs all three")
    synthetic_distances, real_distances = nearest[:n], np.sort(nearest[n:])
    r = max(1, int(m * _NEAR_SHARE))
    n_near = int((synthetic_distances < real_distances[r - 1]).sum())
    usual = float(np.median(real_distances))
    return CopyCheck(
        ratio=float(np.median(synthetic_distances)) / usual if usual else 0.0,
        share_near=n_near / n,
        share_usual=r / (m + 1),
        p=float(betabinom.sf(n_near - 1, n, r, m + 1 - r)),
        n_training=n_training,
    )


def nearest_distances(points: Vectors, references: Iterable[Vectors]) -> tuple[NDArray[np.float64], int]:
    """Compute the Euclidean distance of each point to its nearest reference vector.

    points: (n, d).  references: blocks of (m, d), read once.
    Returns (n,) distances, infinite without neighbours, and the number of neighbours.
    """
    points = points.astype(np.float64)
    squares, nearest, n_others = (points**2).sum(axis=1), np.full(len(points), np.inf), 0
    for block in references:
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
    """Return, for each class, the mean distance between synthetic examples over that between real ones.

    About 1 for natural variety and near 0 for repeated examples; None if either has fewer than two examples, or the
    real ones do not differ.
    """
    return tuple(
        _ratio(*(mean_pair_distance(each.vectors[each.labels == label]) for each in (synthetic, real)))
        for label in range(n_classes)
    )


def _ratio(synthetic_distances: float | None, real_distances: float | None) -> float | None:
    return synthetic_distances / real_distances if synthetic_distances is not None and real_distances else None


def mean_pair_distance(vectors: Vectors) -> float | None:
    """Return the mean Euclidean distance between the first 512 of (n, d) vectors; None for fewer than two."""
    n = min(len(vectors), _BLOCK)
    if n < 2:
        return None
    return float(_distances(vectors[:n], vectors[:n]).sum() / (n * (n - 1)))
