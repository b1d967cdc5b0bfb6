"""Folds: each group is judged once and learned from in all the other runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from domain.subsets import Subset
from tasks.dataset.split.class_counts import Cohort
from tasks.dataset.split.groups import Ints
from tasks.dataset.split.holdout import SplitError, named, refuse_unjudgeable
from tasks.dataset.split.shares import Bins, deal

# Groups looked at when a run has nothing to validate by; where so many small ones do not help, it is said in a note.
_SMALLEST = 1000


def drawn_folds(cohort: Cohort, n_folds: int) -> Ints:
    """(n,) the fold of each recording, 0 to n_folds - 1, dealt by group with every class spread evenly.

    Raises SplitError with fewer groups than folds, or when no class has two groups.
    """
    if cohort.n_groups < n_folds:
        raise SplitError(f"{cohort.n_groups} groups cannot fill {n_folds} folds; ask for fewer folds, or for none")
    refuse_unjudgeable(cohort)
    return _dealt(cohort, np.full(cohort.n_groups, -1), n_folds)[cohort.groups]


def completed_folds(cohort: Cohort, given: Ints, n_folds: int) -> tuple[Ints, list[str]]:
    """(n,) the data's own folds; a recording without one (-1) follows its group, else its group is dealt to a fold."""
    by_group = _dealt(cohort, cohort.per_group(given, -1), n_folds)
    folds = np.where(given >= 0, given, by_group[cohort.groups])
    n_missing = int((given < 0).sum())
    notes = [f"{n_missing:,} recordings name no fold; their groups were dealt to the folds"] if n_missing else []
    return folds, notes


def fold_sides(cohort: Cohort, folds: Ints, n_folds: int, valid_share: float) -> Ints:
    """(n,) TRAIN or VALID: the side of each recording in the runs that do not test it.

    Fold after fold, groups are dealt so that validation keeps its share of every class; then groups go back to
    training where a class would otherwise be tested in some run without being learned in it.
    """
    by_group = cohort.per_group(folds, 0)
    sides = np.zeros(cohort.n_groups, dtype=np.int64)
    bins = Bins([1 - valid_share, valid_share], len(cohort.class_names))
    for fold in range(n_folds):
        is_here = by_group == fold
        bins.expect(cohort.census.among(is_here).totals())
        dealt = deal(cohort.census, bins, None, is_here)
        sides[is_here] = dealt[is_here]
    _keep_learned(cohort, by_group, sides)
    _keep_validated(cohort, by_group, sides)
    return sides[cohort.groups]


def fold_notes(cohort: Cohort, folds: Ints, sides: Ints, numbers: Sequence[int]) -> list[str]:
    """Sentences on runs without validation, and on classes that a run tests unlearned, a fold lacks or none validates.

    numbers: the folds' own numbers, in the order of folds' values.
    Raises SplitError when the other folds leave a run nothing to train on.
    """
    notes = []
    for fold, number in enumerate(numbers):
        others = sides[folds != fold]
        if not (others == Subset.TRAIN).any():
            raise SplitError(f"testing fold {number} leaves nothing to train on; use fewer folds or more groups")
        if not (others == Subset.VALID).any():
            notes.append(f"testing fold {number} leaves no group for validation")
    n_folds = len(numbers)
    learned = cohort.presence(np.where(sides == Subset.TRAIN, folds, n_folds), n_folds + 1)[:, :n_folds] > 0
    is_tested = cohort.presence(folds, n_folds) > 0
    is_learned_elsewhere = learned.sum(axis=1, keepdims=True) - learned > 0
    unlearned = np.flatnonzero((is_tested & ~is_learned_elsewhere).any(axis=1)).tolist()
    if unlearned:
        notes.append(f"{named(cohort, unlearned)}: tested in a run that could not learn it (too few groups)")
    elsewhere = sorted(set(np.flatnonzero(~is_tested.all(axis=1)).tolist()) - set(unlearned))
    if elsewhere:
        notes.append(f"{named(cohort, elsewhere)}: fewer groups than the {n_folds} folds, so some folds do not test it")
    unvalidated = np.flatnonzero(cohort.presence(sides, len(Subset))[:, Subset.VALID] == 0).tolist()
    if unvalidated:
        notes.append(f"{named(cohort, unvalidated)}: not in validation (too few groups)")
    return notes


def _dealt(cohort: Cohort, given: Ints, n_folds: int) -> Ints:
    """(n_groups,) folds, the given ones kept and groups at -1 dealt around them."""
    bins = Bins([1 / n_folds] * n_folds, len(cohort.class_names))
    bins.expect(cohort.census.totals())
    bins.hold(cohort.census, given)

    def reach(n_groups: int, bins: Bins) -> list[int]:
        # The emptiest first: while there are as many groups as folds, no fold stays empty.
        return sorted(range(n_folds), key=lambda fold: (bins.load[fold], fold))[:n_groups]

    dealt = deal(cohort.census, bins, reach, given < 0)
    return np.where(given >= 0, given, dealt)


def _keep_learned(cohort: Cohort, by_group: Ints, sides: Ints) -> None:
    """Moves validation groups to training until every class is learned in two folds, or has no more to move."""
    for groups in cohort.census.holders():
        learned = set(by_group[groups[sides[groups] == Subset.TRAIN]].tolist())
        if len(learned) >= 2:
            continue
        for group in groups[sides[groups] == Subset.VALID].tolist():
            if len(learned) < 2 and int(by_group[group]) not in learned:
                sides[group] = Subset.TRAIN
                learned.add(int(by_group[group]))


def _keep_validated(cohort: Cohort, by_group: Ints, sides: Ints) -> None:
    """Moves the smallest groups to validation until two folds have some, where no class loses its learning by it."""
    holders = cohort.census.holders()
    is_spare = _spare(cohort, by_group, sides, holders)
    validated = set(by_group[sides == Subset.VALID].tolist())
    for group in np.argsort(cohort.census.size, kind="stable")[:_SMALLEST].tolist():
        if len(validated) >= 2:
            return
        if sides[group] == Subset.TRAIN and int(by_group[group]) not in validated and is_spare(group):
            sides[group] = Subset.VALID
            validated.add(int(by_group[group]))


def _spare(cohort: Cohort, by_group: Ints, sides: Ints, holders: list[Ints]) -> Callable[[int], bool]:
    """Whether training could do without a group: two other folds, at least, still teach each of its classes."""

    def is_spare(group: int) -> bool:
        for label, _ in cohort.census.classes(group):
            others = holders[label][holders[label] != group]
            if len(np.unique(by_group[others[sides[others] == Subset.TRAIN]])) < 2:
                return False
        return True

    return is_spare
