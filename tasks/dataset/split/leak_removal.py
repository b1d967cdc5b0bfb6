"""Which recordings `--drop-leaks` leaves out, so that no group is on both sides of the data's own split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.plural import counted
from domain.subsets import Subset
from tasks.dataset.split.class_counts import Bools
from tasks.dataset.split.groups import Coded, Ints

_NAMES_LISTED = 5


@dataclass(frozen=True, eq=False)
class LeakRemoval:
    """The recordings that are left out.

    is_dropped: (n,).  group_names: of the groups that are on both sides, sorted.  where: what their other recordings
    are used for.
    """

    is_dropped: Bools
    group_names: tuple[str, ...]
    where: str

    @property
    def note(self) -> str:
        """A sentence for the user."""
        n = int(self.is_dropped.sum())
        if not n:
            return "--drop-leaks: no group is on both sides of a split of the data; all recordings are used"
        listed = ", ".join(self.group_names[:_NAMES_LISTED]) + (", …" if len(self.group_names) > _NAMES_LISTED else "")
        groups = counted(len(self.group_names), "group")
        return f"--drop-leaks: {counted(n, 'recording')} of {groups} left out, because {self.where}: {listed}"

    def reason(self, group: str) -> str:
        """Why a recording of this group is left out."""
        return f"left out by --drop-leaks: {self.where} (group {group})"


def leak_removal(groups: Coded, official_fold: Ints, official_subset: Ints) -> LeakRemoval:
    """Choose the recordings to leave out.

    groups: the final group of each of n recordings.
    official_fold, official_subset: (n,) the values of the dataset's own columns; -1 if it has none.
    The test subset stays whole, so that its score can be compared with other results on it: recordings for training
    and validation are left out if their group is tested. With folds a group stays in the fold that has most of its
    recordings, in the first of them if several have.
    A recording without a value is never left out: it follows its group. A split that is drawn divides no group.
    """
    if (official_subset > Subset.TRAIN).any():
        is_tested = np.zeros(len(groups.names), dtype=bool)
        is_tested[groups.codes[official_subset == Subset.TEST]] = True
        is_dropped = is_tested[groups.codes] & (official_subset >= 0) & (official_subset != Subset.TEST)
        where = "other recordings of their groups are in test"
    else:
        is_dropped = _outside_main_fold(groups, official_fold)
        where = "more recordings of their groups are in another fold"
    names = sorted(groups.names[code] for code in np.unique(groups.codes[is_dropped]).tolist())
    return LeakRemoval(is_dropped, tuple(names), where)


def _outside_main_fold(groups: Coded, folds: Ints) -> Bools:
    has_fold = folds >= 0
    pairs, n = np.unique(np.stack([groups.codes[has_fold], folds[has_fold]]), axis=1, return_counts=True)
    main = np.full(len(groups.names), -1, dtype=np.int64)
    order = np.lexsort((-pairs[1], n))  # later entries win: most recordings, then the first fold
    main[pairs[0][order]] = pairs[1][order]
    is_dropped: Bools = has_fold & (folds != main[groups.codes])
    return is_dropped
