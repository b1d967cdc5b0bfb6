"""Recordings counted by class and group, in numbers instead of names, in an order that no row order can change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from domain.digests import uniform
from tasks.dataset.split.groups import Coded, Ints, Names

Folds = npt.NDArray[np.int16]
Sides = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Census:
    """How many recordings of each class each group holds; groups are numbered in their drawn order.

    size: (n_groups,) recordings.  start: (n_groups + 1,) offsets into label and count, which list the group's classes.
    """

    n_classes: int
    size: Ints
    start: Ints
    label: Ints
    count: Ints

    @classmethod
    def of(cls, labels: Ints, groups: Ints, n_classes: int, n_groups: int) -> Census:
        """Counted from each recording's class and group number; a group may hold nothing."""
        pairs, count = np.unique(groups * n_classes + labels, return_counts=True)
        start = np.searchsorted(pairs, np.arange(n_groups + 1) * n_classes)
        return cls(n_classes, np.bincount(groups, minlength=n_groups), start, pairs % n_classes, count)

    def among(self, is_chosen: Bools) -> Census:
        """The census of the chosen groups alone; the others keep their numbers and hold nothing."""
        kept = np.repeat(is_chosen, np.diff(self.start))
        start = np.concatenate(([0], np.cumsum(np.where(is_chosen, np.diff(self.start), 0))))
        return Census(self.n_classes, np.where(is_chosen, self.size, 0), start, self.label[kept], self.count[kept])

    def totals(self) -> Ints:
        """(n_classes,) recordings of each class."""
        return np.bincount(self.label, weights=self.count, minlength=self.n_classes).astype(np.int64)

    def holders(self) -> list[Ints]:
        """For each class the groups that hold it, the smallest first, equals in drawn order."""
        owner = np.repeat(np.arange(len(self.size)), np.diff(self.start))
        order = np.lexsort((owner, self.size[owner], self.label))
        ends = np.cumsum(np.bincount(self.label, minlength=self.n_classes))
        return np.split(owner[order], ends[:-1])

    def classes(self, group: int) -> list[tuple[int, int]]:
        """Pairs of (class, recordings) in one group."""
        span = slice(int(self.start[group]), int(self.start[group + 1]))
        return list(zip(self.label[span].tolist(), self.count[span].tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Cohort:
    """All recordings of a dataset, numbered: classes by name, groups in the order the seed draws.

    labels, groups: (n,) numbers of each recording's class and group.
    """

    class_names: tuple[str, ...]
    n_groups: int
    labels: Ints
    groups: Ints
    census: Census

    @classmethod
    def of(cls, labels: Coded, groups: Coded, seed: int) -> Cohort:
        """Numbered by name and draw; the numbers of two cohorts are the same whatever the order of their rows."""
        class_names = sorted(labels.names)
        place = {name: number for number, name in enumerate(class_names)}
        label_codes = np.array([place[name] for name in labels.names], np.int64)[labels.codes]
        order = _drawn_order(groups.names, seed)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        codes = rank[groups.codes]
        census = Census.of(label_codes, codes, len(class_names), len(order))
        return cls(tuple(class_names), len(order), label_codes, codes, census)

    def per_group(self, values: Ints, absent: int) -> Ints:
        """(n_groups,) the smallest value of each group's recordings, negative ones left out; absent where none is."""
        given = values >= 0
        smallest = np.full(self.n_groups, np.iinfo(np.int64).max)
        np.minimum.at(smallest, self.groups[given], values[given])
        return np.where(smallest == np.iinfo(np.int64).max, absent, smallest)

    def torn(self, values: Ints) -> int:
        """How many groups have recordings with different values."""
        smallest = self.per_group(values, -1)
        return len(np.unique(self.groups[values != smallest[self.groups]]))

    def presence(self, values: Ints, n_values: int) -> Ints:
        """(n_classes, n_values) recordings of each class that have each value; values: (n,) from 0."""
        cells = self.labels * n_values + values
        n_classes = len(self.class_names)
        return np.bincount(cells, minlength=n_classes * n_values).reshape(n_classes, n_values)


def _drawn_order(names: Names, seed: int) -> Ints:
    draws = np.fromiter((uniform(seed, name) for name in names), dtype=np.float64, count=len(names))
    order = np.argsort(draws, kind="stable")
    if (np.diff(draws[order]) == 0).any():  # one in 20,000 at a million groups; their names decide, not their rows
        return np.array(sorted(range(len(names)), key=lambda i: (draws[i], names[i])), dtype=np.int64)
    return order
