"""Groups dealt to bins (sides or folds): whole, each class in every bin it can reach, shares kept as they can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tasks.dataset.split.class_counts import Bools, Census, Folds
from tasks.dataset.split.groups import Ints

# A class is brought into a bin by the best of this many of its smallest groups.
_CANDIDATES = 32


class Bins:
    """What has been dealt to each bin so far, and where a group is needed most.

    shares: what each bin should hold of every class, > 0; they need not sum to 1.
    held: recordings of each class in each bin.  load: recordings in each bin.
    total: recordings of each class that are to be dealt, or are dealt already.
    """

    def __init__(self, shares: Sequence[float], n_classes: int) -> None:
        self.shares = list(shares)
        self.held = [[0] * n_classes for _ in shares]
        self.load = [0] * len(self.shares)
        self.total = [0] * n_classes

    def expect(self, totals: Ints) -> None:
        """Widens what the bins should hold by so many recordings of each class."""
        self.total = [old + int(new) for old, new in zip(self.total, totals, strict=True)]

    def hold(self, census: Census, placed: Ints) -> None:
        """Counts the groups that stand in a bin already; placed: (n_groups,) their bins, -1 for none."""
        bins = np.repeat(placed, np.diff(census.start))
        cells = (bins * census.n_classes + census.label)[bins >= 0]
        n_cells = len(self.shares) * census.n_classes
        held = np.bincount(cells, weights=census.count[bins >= 0], minlength=n_cells).astype(np.int64)
        self.held = held.reshape(len(self.shares), census.n_classes).tolist()
        self.load = [sum(row) for row in self.held]

    def put(self, bin_: int, classes: list[tuple[int, int]]) -> None:
        """Deals a group to a bin."""
        for label, count in classes:
            self.held[bin_][label] += count
            self.load[bin_] += count

    def strain(self, bin_: int, classes: list[tuple[int, int]]) -> float:
        """Change of sum((held - wanted)^2 / wanted) if the group went to the bin: a chi-square, the less the better."""
        share, held = self.shares[bin_], self.held[bin_]
        strain = 0.0
        for label, count in classes:
            wanted = share * self.total[label]
            strain += count * (count + 2 * (held[label] - wanted)) / wanted
        return strain

    def best(self, classes: list[tuple[int, int]]) -> int:
        """The bin where the group strains least; of equals the one least loaded for its share, then the first."""
        order = range(len(self.shares))
        return min(order, key=lambda b: (round(self.strain(b, classes), 9), self.load[b] / self.shares[b], b))


# For a class in so many groups: the bins it must reach, in the order they come to their turn.
Reach = Callable[[int, Bins], Sequence[int]]


def deal(census: Census, bins: Bins, reach: Reach | None, free: Bools) -> Folds:
    """The bin of each free group, (n_groups,) with -1 for groups that are not free (they are in the bins already).

    First every class, the rarest first, is brought to the bins it must reach, where reach is given; then large groups
    go where they strain least; single recordings at last fill what each class still lacks.
    """
    dealt = np.full(len(census.size), -1, dtype=np.int16)
    open_ = free & (census.size > 0)
    if reach is not None:
        _reach_bins(census, bins, reach, dealt, open_)
    several = np.flatnonzero(open_ & (census.size > 1))
    for group in several[np.argsort(-census.size[several], kind="stable")].tolist():
        classes = census.classes(group)
        dealt[group] = bin_ = bins.best(classes)
        bins.put(bin_, classes)
    _fill(census, bins, dealt, np.flatnonzero(open_ & (census.size == 1)))
    return dealt


def _reach_bins(census: Census, bins: Bins, reach: Reach, dealt: Folds, open_: Bools) -> None:
    holders = census.holders()
    for label in sorted(range(census.n_classes), key=lambda c: len(holders[c])):
        mine = holders[label]
        for bin_ in reach(len(mine), bins):
            if bins.held[bin_][label]:
                continue
            candidates = mine[open_[mine]][:_CANDIDATES].tolist()
            if not candidates:
                break
            group = min(candidates, key=lambda g: bins.strain(bin_, census.classes(g)))
            dealt[group], open_[group] = bin_, False
            bins.put(bin_, census.classes(group))


def _fill(census: Census, bins: Bins, dealt: Folds, singles: Ints) -> None:
    """Deals groups of one recording class by class, as many to each bin as it lacks, in their drawn order."""
    labels = census.label[census.start[singles]]
    by_class = singles[np.argsort(labels, kind="stable")]
    counts = np.bincount(labels, minlength=census.n_classes)
    ends = np.cumsum(counts)
    for label in np.flatnonzero(counts).tolist():
        groups = by_class[ends[label] - counts[label] : ends[label]]
        amounts = _amounts(bins, label, len(groups))
        dealt[groups] = np.repeat(np.arange(len(amounts)), amounts)
        for bin_, amount in enumerate(amounts):
            bins.put(bin_, [(label, amount)])


def _amounts(bins: Bins, label: int, n: int) -> list[int]:
    """How many of n recordings each bin gets: in proportion to what it lacks, by largest remainder."""
    order = range(len(bins.shares))
    lacks = [max(0.0, bins.shares[b] * bins.total[label] - bins.held[b][label]) for b in order]
    whole = sum(lacks) or 1.0
    exact = [n * lack / whole for lack in lacks] if sum(lacks) else [n * share for share in bins.shares]
    amounts = [int(value) for value in exact]
    ranked = sorted(order, key=lambda b: (round(amounts[b] - exact[b], 9), bins.load[b] / bins.shares[b], b))
    for bin_ in ranked[: n - sum(amounts)]:
        amounts[bin_] += 1
    return amounts
