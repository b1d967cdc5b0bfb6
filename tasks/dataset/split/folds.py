"""Folds of a cross-validation: each group is tested in one fold and used for training or validation in the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from domain.subsets import Subset
from tasks.dataset.split.class_counts import EncodedDataset
from tasks.dataset.split.groups import Ints
from tasks.dataset.split.holdout import SplitError, check_testable, class_list
from tasks.dataset.split.stratification import Bins, distribute_groups

# Bounds the search for groups that could move to validation; only the smallest groups are tried.
_MOST_TRIED_GROUPS = 1000


def drawn_folds(dataset: EncodedDataset, n_folds: int) -> Ints:
    """Draw a fold for each recording, by group, with every class distributed evenly.

    n_folds: >= 2.  Returns (n,) from 0 to n_folds - 1.
    Raises: SplitError if there are fewer groups than folds, or if no class has two groups.
    """
    if dataset.n_groups < n_folds:
        raise SplitError(
            f"the dataset has {dataset.n_groups} groups, too few for {n_folds} folds; request fewer folds, or none"
        )
    check_testable(dataset)
    return _distribute(dataset, np.full(dataset.n_groups, -1), n_folds)[dataset.groups]


def completed_folds(dataset: EncodedDataset, given: Ints, n_folds: int) -> tuple[Ints, list[str]]:
    """Keep the dataset's folds, and assign a fold to each recording that has none.

    given: (n,) from 0 to n_folds - 1, or -1.  A recording without a fold follows its group; a group without any fold is
    distributed.
    Returns (n,) folds, and notes for the user.
    """
    by_group = _distribute(dataset, dataset.smallest_by_group(given, -1), n_folds)
    folds = np.where(given >= 0, given, by_group[dataset.groups])
    n_missing = int((given < 0).sum())
    notes = [f"{n_missing:,} recordings have no fold in the data; they were assigned by group"] if n_missing else []
    return folds, notes


def fold_subsets(dataset: EncodedDataset, folds: Ints, n_folds: int, valid_share: float) -> Ints:
    """Choose the groups for validation: the subset of each recording in the runs that do not test it.

    folds: (n,) from 0 to n_folds - 1.  valid_share: share of validation in every class, between 0 and 1.
    Returns (n,) TRAIN or VALID.
    Validation gets its share of every class in every fold. Then groups move back to training if otherwise a run would
    test a class without training on it.
    """
    by_group = dataset.smallest_by_group(folds, 0)
    subsets = np.zeros(dataset.n_groups, dtype=np.int64)
    bins = Bins([1 - valid_share, valid_share], len(dataset.class_names))
    for fold in range(n_folds):
        is_in_fold = by_group == fold
        bins.add_expected(dataset.class_counts.of_groups(is_in_fold).totals())
        distributed = distribute_groups(dataset.class_counts, bins, None, is_in_fold)
        subsets[is_in_fold] = distributed[is_in_fold]
    _move_to_training(dataset, by_group, subsets)
    _move_to_validation(dataset, by_group, subsets)
    return subsets[dataset.groups]


def fold_notes(dataset: EncodedDataset, folds: Ints, subsets: Ints, numbers: Sequence[int]) -> list[str]:
    """Describe runs without validation, and classes that a run cannot train on, test or validate.

    folds, subsets: (n,) of each recording.  numbers: the fold numbers of the dataset, indexed by the values of `folds`.
    Raises: SplitError if a run has no recordings to train on.
    """
    notes = []
    for fold, number in enumerate(numbers):
        others = subsets[folds != fold]
        if not (others == Subset.TRAIN).any():
            raise SplitError(f"testing fold {number} leaves nothing to train on; use fewer folds or more groups")
        if not (others == Subset.VALID).any():
            notes.append(f"testing fold {number} leaves no group for validation")
    n_folds = len(numbers)
    is_trained = (
        dataset.counts_by_value(np.where(subsets == Subset.TRAIN, folds, n_folds), n_folds + 1)[:, :n_folds] > 0
    )
    is_tested = dataset.counts_by_value(folds, n_folds) > 0
    is_trained_in_others = is_trained.sum(axis=1, keepdims=True) - is_trained > 0
    untrained = np.flatnonzero((is_tested & ~is_trained_in_others).any(axis=1)).tolist()
    if untrained:
        notes.append(f"{class_list(dataset, untrained)}: tested in a run that cannot train on it (too few groups)")
    untested = sorted(set(np.flatnonzero(~is_tested.all(axis=1)).tolist()) - set(untrained))
    if untested:
        notes.append(
            f"{class_list(dataset, untested)}: fewer groups than the {n_folds} folds, so some folds do not test it"
        )
    unvalidated = np.flatnonzero(dataset.counts_by_value(subsets, len(Subset))[:, Subset.VALID] == 0).tolist()
    if unvalidated:
        notes.append(f"{class_list(dataset, unvalidated)}: not in validation (too few groups)")
    return notes


def _distribute(dataset: EncodedDataset, given: Ints, n_folds: int) -> Ints:
    """Return the fold of each group, (n_groups,). given: folds that are fixed; -1 for groups to distribute."""
    bins = Bins([1 / n_folds] * n_folds, len(dataset.class_names))
    bins.add_expected(dataset.class_counts.totals())
    bins.set_placed(dataset.class_counts, given)

    def required_bins(n_groups: int, bins: Bins) -> list[int]:
        # The emptiest fold first: no fold stays empty if there are at least as many groups as folds.
        return sorted(range(n_folds), key=lambda fold: (bins.load[fold], fold))[:n_groups]

    distributed = distribute_groups(dataset.class_counts, bins, required_bins, given < 0)
    return np.where(given >= 0, given, distributed)


def _move_to_training(dataset: EncodedDataset, by_group: Ints, subsets: Ints) -> None:
    """Move validation groups to training, so that each class is trained on in two folds if it has enough groups.

    A class with training groups in two folds is trained on in every run: at most one of these folds is tested.
    """
    for groups in dataset.class_counts.groups_by_class():
        trained = set(by_group[groups[subsets[groups] == Subset.TRAIN]].tolist())
        if len(trained) >= 2:
            continue
        for group in groups[subsets[groups] == Subset.VALID].tolist():
            if len(trained) < 2 and int(by_group[group]) not in trained:
                subsets[group] = Subset.TRAIN
                trained.add(int(by_group[group]))


def _move_to_validation(dataset: EncodedDataset, by_group: Ints, subsets: Ints) -> None:
    """Move the smallest dispensable groups to validation, until two folds have validation groups.

    With validation groups in two folds, every run can validate.
    """
    is_dispensable = _dispensable(dataset, by_group, subsets)
    validated = set(by_group[subsets == Subset.VALID].tolist())
    for group in np.argsort(dataset.class_counts.size, kind="stable")[:_MOST_TRIED_GROUPS].tolist():
        if len(validated) >= 2:
            return
        if subsets[group] == Subset.TRAIN and int(by_group[group]) not in validated and is_dispensable(group):
            subsets[group] = Subset.VALID
            validated.add(int(by_group[group]))


def _dispensable(dataset: EncodedDataset, by_group: Ints, subsets: Ints) -> Callable[[int], bool]:
    """Return a function that tells whether two folds would still have every class of a group without that group."""
    groups_by_class = dataset.class_counts.groups_by_class()

    def is_dispensable(group: int) -> bool:
        for label, _ in dataset.class_counts.classes(group):
            others = groups_by_class[label][groups_by_class[label] != group]
            if len(np.unique(by_group[others[subsets[others] == Subset.TRAIN]])) < 2:
                return False
        return True

    return is_dispensable
