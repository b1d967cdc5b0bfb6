"""Recordings counted by class and group. Classes and groups are numbered independently of the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from domain.digests import uniform
from tasks.dataset.split.groups import Coded, Ints, Names

Folds = npt.NDArray[np.int16]
Subsets = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassCounts:
    """The number of recordings of each class in each group, as a sparse matrix with one row per group.

    size: (n_groups,) recordings of each group.
    start: (n_groups + 1,) offsets of the groups in `label` and `count`, as in a CSR matrix.
    label, count: (n_pairs,) a class of the group, and its recordings there.
    """

    n_classes: int
    size: Ints
    start: Ints
    label: Ints
    count: Ints

    @classmethod
    def of(cls, labels: Ints, groups: Ints, n_classes: int, n_groups: int) -> ClassCounts:
        """Count recordings. labels, groups: (n,) class and group of each; groups without recordings are allowed."""
        pairs, count = np.unique(groups * n_classes + labels, return_counts=True)
        start = np.searchsorted(pairs, np.arange(n_groups + 1) * n_classes)
        return cls(n_classes, np.bincount(groups, minlength=n_groups), start, pairs % n_classes, count)

    def of_groups(self, is_chosen: Bools) -> ClassCounts:
        """Return the counts of the chosen groups. The other groups keep their numbers and have no recordings.

        is_chosen: (n_groups,).
        """
        kept = np.repeat(is_chosen, np.diff(self.start))
        start = np.concatenate(([0], np.cumsum(np.where(is_chosen, np.diff(self.start), 0))))
        return ClassCounts(self.n_classes, np.where(is_chosen, self.size, 0), start, self.label[kept], self.count[kept])

    def totals(self) -> Ints:
        """Return the recordings of each class, (n_classes,)."""
        return np.bincount(self.label, weights=self.count, minlength=self.n_classes).astype(np.int64)

    def groups_by_class(self) -> list[Ints]:
        """Return the groups that contain each class, by size, smallest first; groups of one size by their numbers."""
        owner = np.repeat(np.arange(len(self.size)), np.diff(self.start))
        order = np.lexsort((owner, self.size[owner], self.label))
        ends = np.cumsum(np.bincount(self.label, minlength=self.n_classes))
        return np.split(owner[order], ends[:-1])

    def classes(self, group: int) -> list[tuple[int, int]]:
        """Return pairs of (class, number of recordings) of one group."""
        span = slice(int(self.start[group]), int(self.start[group + 1]))
        return list(zip(self.label[span].tolist(), self.count[span].tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class EncodedDataset:
    """The labels and groups of all recordings, encoded as numbers.

    Classes are numbered by name. Groups are numbered in a random order that follows from the seed and their names.
    labels, groups: (n,) the class and the group of each recording.
    """

    class_names: tuple[str, ...]
    n_groups: int
    labels: Ints
    groups: Ints
    class_counts: ClassCounts

    @classmethod
    def of(cls, labels: Coded, groups: Coded, seed: int) -> EncodedDataset:
        """Encode a dataset. labels, groups: the class and the group of each recording. The row order has no effect."""
        class_names = sorted(labels.names)
        number_of = {name: number for number, name in enumerate(class_names)}
        label_codes = np.array([number_of[name] for name in labels.names], np.int64)[labels.codes]
        order = _drawn_order(groups.names, seed)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        codes = rank[groups.codes]
        class_counts = ClassCounts.of(label_codes, codes, len(class_names), len(order))
        return cls(tuple(class_names), len(order), label_codes, codes, class_counts)

    def of_recordings(self, is_chosen: Bools) -> EncodedDataset:
        """Return the dataset with the counts of the chosen recordings only. is_chosen: (n,)."""
        counts = ClassCounts.of(self.labels[is_chosen], self.groups[is_chosen], len(self.class_names), self.n_groups)
        return replace(self, class_counts=counts)

    def smallest_by_group(self, values: Ints, absent: int) -> Ints:
        """Return the smallest non-negative value among each group's recordings, (n_groups,).

        values: (n,) one per recording.  absent: the result for a group without a non-negative value.
        """
        given = values >= 0
        smallest = np.full(self.n_groups, np.iinfo(np.int64).max)
        np.minimum.at(smallest, self.groups[given], values[given])
        return np.where(smallest == np.iinfo(np.int64).max, absent, smallest)

    def divided_groups(self, values: Ints) -> Ints:
        """Return the groups whose recordings have different values. values: (n,) one per recording, >= 0."""
        smallest = self.smallest_by_group(values, -1)
        return np.unique(self.groups[values != smallest[self.groups]])

    def counts_by_value(self, values: Ints, n_values: int) -> Ints:
        """Return the recordings of each class with each value, (n_classes, n_values).

        values: (n,) one per recording, from 0 to n_values - 1.
        """
        cells = self.labels * n_values + values
        n_classes = len(self.class_names)
        return np.bincount(cells, minlength=n_classes * n_values).reshape(n_classes, n_values)


def _drawn_order(names: Names, seed: int) -> Ints:
    draws = np.fromiter((uniform(seed, name) for name in names), dtype=np.float64, count=len(names))
    order = np.argsort(draws, kind="stable")
    if (np.diff(draws[order]) == 0).any():  # rare: 1 in 20,000 for a million groups; the names break ties, not the rows
        return np.array(sorted(range(len(names)), key=lambda i: (draws[i], names[i])), dtype=np.int64)
    return order
