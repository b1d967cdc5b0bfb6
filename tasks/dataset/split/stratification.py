"""Stratified distribution of whole groups over bins. A bin is a subset or a fold.

Each class is brought to every bin that it must reach, and each bin gets its share of every class as closely as whole
groups allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tasks.dataset.split.class_counts import Bools, ClassCounts, Folds
from tasks.dataset.split.groups import Ints

# To bring a class to a bin, this many of its smallest groups are compared.
_CANDIDATES = 32


class Bins:
    """The contents of the bins so far.

    shares: the desired share of each bin in every class, > 0; they need not sum to 1.
    held: recordings of each class in each bin.  load: recordings in each bin.
    total: recordings of each class, distributed or not.
    """

    def __init__(self, shares: Sequence[float], n_classes: int) -> None:
        self.shares = list(shares)
        self.held = [[0] * n_classes for _ in shares]
        self.load = [0] * len(self.shares)
        self.total = [0] * n_classes

    def add_expected(self, totals: Ints) -> None:
        """Add recordings that will be distributed. totals: (n_classes,) of each class."""
        self.total = [old + int(new) for old, new in zip(self.total, totals, strict=True)]

    def set_placed(self, class_counts: ClassCounts, placed: Ints) -> None:
        """Count the groups that are already in a bin. placed: (n_groups,) their bins, -1 for none."""
        bins = np.repeat(placed, np.diff(class_counts.start))
        cells = (bins * class_counts.n_classes + class_counts.label)[bins >= 0]
        n_cells = len(self.shares) * class_counts.n_classes
        held = np.bincount(cells, weights=class_counts.count[bins >= 0], minlength=n_cells).astype(np.int64)
        self.held = held.reshape(len(self.shares), class_counts.n_classes).tolist()
        self.load = [sum(row) for row in self.held]

    def add_group(self, bin_: int, classes: list[tuple[int, int]]) -> None:
        """Put a group into a bin. classes: pairs of (class, number of recordings)."""
        for label, count in classes:
            self.held[bin_][label] += count
            self.load[bin_] += count

    def cost(self, bin_: int, classes: list[tuple[int, int]]) -> float:
        """Return the change of the chi-square statistic sum((held - wanted)**2 / wanted) if the bin got the group."""
        share, held = self.shares[bin_], self.held[bin_]
        cost = 0.0
        for label, count in classes:
            wanted = share * self.total[label]
            cost += count * (count + 2 * (held[label] - wanted)) / wanted
        return cost

    def best_bin(self, classes: list[tuple[int, int]]) -> int:
        """Return the bin with the lowest cost for a group; ties go to the lowest load per share, then the first bin."""
        # Rounding keeps ties equal, although the costs are summed in different orders.
        order = range(len(self.shares))
        return min(order, key=lambda b: (round(self.cost(b, classes), 9), self.load[b] / self.shares[b], b))


# Returns the bins that a class with this number of groups must reach, in the order in which they get a group.
RequiredBins = Callable[[int, Bins], Sequence[int]]


def distribute_groups(
    class_counts: ClassCounts, bins: Bins, required_bins: RequiredBins | None, is_free: Bools
) -> Folds:
    """Distribute the free groups over the bins, and return the bin of each, (n_groups,); -1 for the other groups.

    class_counts: of all groups.  bins: the contents so far; changed.  is_free: (n_groups,) the groups to distribute.
    Three steps:
    1. If `required_bins` is given, each class gets a group in every bin that it must reach, the rarest class first.
    2. Groups of several recordings go to the bin with the lowest cost, the largest group first.
    3. Groups of one recording fill up each class to its shares.
    """
    bin_of = np.full(len(class_counts.size), -1, dtype=np.int16)
    is_open = is_free & (class_counts.size > 0)
    if required_bins is not None:
        _reach_bins(class_counts, bins, required_bins, bin_of, is_open)
    several = np.flatnonzero(is_open & (class_counts.size > 1))
    for group in several[np.argsort(-class_counts.size[several], kind="stable")].tolist():
        classes = class_counts.classes(group)
        bin_of[group] = bin_ = bins.best_bin(classes)
        bins.add_group(bin_, classes)
    _distribute_singles(class_counts, bins, bin_of, np.flatnonzero(is_open & (class_counts.size == 1)))
    return bin_of


def _reach_bins(
    class_counts: ClassCounts, bins: Bins, required_bins: RequiredBins, bin_of: Folds, is_open: Bools
) -> None:
    groups_by_class = class_counts.groups_by_class()
    for label in sorted(range(class_counts.n_classes), key=lambda c: len(groups_by_class[c])):
        groups = groups_by_class[label]
        for bin_ in required_bins(len(groups), bins):
            if bins.held[bin_][label]:
                continue
            candidates = groups[is_open[groups]][:_CANDIDATES].tolist()
            if not candidates:
                break
            group = min(candidates, key=lambda g: bins.cost(bin_, class_counts.classes(g)))
            bin_of[group], is_open[group] = bin_, False
            bins.add_group(bin_, class_counts.classes(group))


def _distribute_singles(class_counts: ClassCounts, bins: Bins, bin_of: Folds, singles: Ints) -> None:
    """Distribute groups of one recording class by class, in the order of their numbers, by what each bin lacks."""
    labels = class_counts.label[class_counts.start[singles]]
    by_class = singles[np.argsort(labels, kind="stable")]
    counts = np.bincount(labels, minlength=class_counts.n_classes)
    ends = np.cumsum(counts)
    for label in np.flatnonzero(counts).tolist():
        groups = by_class[ends[label] - counts[label] : ends[label]]
        amounts = _amounts(bins, label, len(groups))
        bin_of[groups] = np.repeat(np.arange(len(amounts)), amounts)
        for bin_, amount in enumerate(amounts):
            bins.add_group(bin_, [(label, amount)])


def _amounts(bins: Bins, label: int, n: int) -> list[int]:
    """Return how many of n recordings each bin gets: proportional to what it lacks, by the largest remainder method."""
    order = range(len(bins.shares))
    lacks = [max(0.0, bins.shares[b] * bins.total[label] - bins.held[b][label]) for b in order]
    whole = sum(lacks) or 1.0
    exact = [n * lack / whole for lack in lacks] if sum(lacks) else [n * share for share in bins.shares]
    amounts = [int(value) for value in exact]
    ranked = sorted(order, key=lambda b: (round(amounts[b] - exact[b], 9), bins.load[b] / bins.shares[b], b))
    for bin_ in ranked[: n - sum(amounts)]:
        amounts[bin_] += 1
    return amounts
