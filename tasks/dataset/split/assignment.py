"""The split of a dataset: assigns each recording to a subset or fold, by group, before anything is augmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain import frozen_words
from domain.plural import counted
from domain.subsets import Subset
from tasks.dataset.split.class_counts import EncodedDataset, Folds, Subsets
from tasks.dataset.split.folds import completed_folds, drawn_folds, fold_notes, fold_subsets
from tasks.dataset.split.groups import Coded, Ints, Words, copies, groups
from tasks.dataset.split.holdout import SplitError, drawn_subsets, missing_class_notes, official_subsets

__all__ = ["Assignment", "Coded", "SplitError", "SplitSpec", "Subset", "assign", "groups"]


@dataclass(frozen=True)
class SplitSpec:
    """The requested split.

    n_folds: >= 2; None for a holdout.  test_share: of all groups, in a holdout; between 0 and 1.
    valid_share: of the training groups, in every run; between 0 and 1.
    Raises: SplitError for a value outside these limits.
    """

    n_folds: int | None
    seed: int
    test_share: float = 0.2
    valid_share: float = 0.2

    def __post_init__(self) -> None:
        if self.n_folds is not None and self.n_folds < 2:
            raise SplitError(f"{self.n_folds} folds were requested; request 2 or more, or none")
        for name, share in (("test", self.test_share), ("validation", self.valid_share)):
            if not 0 < share < 1:
                raise SplitError(f"the {name} share is {share}; it must be between 0 and 1")


@dataclass(frozen=True, eq=False)
class Assignment:
    """The subset or fold of each recording.

    fold: (n,) the fold that tests the recording; -1 in a holdout.
    subset: (n,) Subset. With folds it is TRAIN or VALID: the recording's use in the runs that test another fold.
    method: how the split was made.  notes: sentences for the user.  folds: the fold numbers to run; () for a holdout.
    leaks: number of groups that are tested and also in training or validation, or in several folds. Only the dataset's
    own columns can cause leaks; a result with leaks must not be called honest.
    """

    fold: Folds
    subset: Subsets
    method: str
    notes: tuple[str, ...]
    folds: tuple[int, ...]
    leaks: int


def assign(
    labels: Coded,
    groups: Coded,
    official_fold: Ints,
    official_subset: Ints,
    spec: SplitSpec,
    identities: Words | None = None,
) -> Assignment:
    """Split a dataset.

    labels, groups: the class and the group of each of n recordings.
    official_fold, official_subset: (n,) the values of the dataset's own columns; -1 if it has none.
    identities: (n, 2) what exact copies share. Without them no validation subset can be drawn from recordings of one
    group.
    The first that applies decides: the dataset's subsets, the dataset's folds, the requested folds, a holdout.
    A drawn split keeps groups whole, and brings each class to every subset for which it has groups. It depends on the
    seed and on the names of groups and classes, not on the order of the recordings.
    Raises: SplitError if there are fewer than two classes, or too few groups. ValueError if the columns differ in
    length.
    """
    if not len(labels) == len(groups) == len(official_fold) == len(official_subset):
        raise ValueError("labels, groups, official folds and official subsets must have the same length")
    dataset = EncodedDataset.of(labels, groups, spec.seed)
    if len(dataset.class_names) < 2:
        n = counted(len(dataset.class_names), "class", "classes")
        raise SplitError(f"the dataset has {n}; a classifier needs at least two")
    own_folds = np.unique(official_fold[official_fold >= 0])
    if (official_subset > Subset.TRAIN).any():
        recordings = None if identities is None else EncodedDataset.of(labels, copies(identities), spec.seed)
        split = official_subsets(dataset, official_subset, (spec.test_share, spec.valid_share), recordings)
        return _by_official_subsets(dataset, split, spec, has_folds=len(own_folds) > 0)
    has_subsets = (official_subset >= 0).any()
    notes = ["the split column has no valid or test subset and was not used"] if has_subsets else []
    if len(own_folds) > 1:
        return _by_official_folds(dataset, official_fold, own_folds, spec, notes)
    if len(own_folds) == 1:
        notes.append(f"the fold column has only fold {own_folds[0]} and was not used")
    return _by_draw(dataset, spec, notes)


def _by_official_subsets(
    dataset: EncodedDataset, split: tuple[Ints, list[str]], spec: SplitSpec, *, has_folds: bool
) -> Assignment:
    subsets, notes = split
    if has_folds or spec.n_folds:
        notes.append("the split in the data was used, so there are no folds")
    return _holdout(dataset, subsets, frozen_words.OFFICIAL_SPLIT, notes)


def _by_official_folds(
    dataset: EncodedDataset, given: Ints, own: Ints, spec: SplitSpec, notes: list[str]
) -> Assignment:
    positions = np.where(given >= 0, np.searchsorted(own, given), -1)
    folds, more = completed_folds(dataset, positions, len(own))
    notes = [*notes, *more]
    if spec.n_folds not in (None, len(own)):
        notes.append(f"the {len(own)} folds in the data were used, not the {spec.n_folds} requested ones")
    method = frozen_words.OFFICIAL_FOLDS.format(n=len(own))
    return _folded(dataset, folds, tuple(own.tolist()), spec, (method, notes))


def _by_draw(dataset: EncodedDataset, spec: SplitSpec, notes: list[str]) -> Assignment:
    if spec.n_folds:
        method = frozen_words.DRAWN_FOLDS.format(n=spec.n_folds, seed=spec.seed)
        numbers = tuple(range(spec.n_folds))
        return _folded(dataset, drawn_folds(dataset, spec.n_folds), numbers, spec, (method, notes))
    not_tested = 1 - spec.test_share
    shares = {
        Subset.TRAIN: not_tested * (1 - spec.valid_share),
        Subset.VALID: not_tested * spec.valid_share,
        Subset.TEST: spec.test_share,
    }
    method = frozen_words.DRAWN_HOLDOUT.format(seed=spec.seed)
    return _holdout(dataset, drawn_subsets(dataset, shares), method, notes)


def _holdout(dataset: EncodedDataset, subsets: Ints, method: str, notes: list[str]) -> Assignment:
    leaks = len(dataset.divided_groups((subsets == Subset.TEST).astype(np.int64)))
    notes = [*notes, *missing_class_notes(dataset, subsets), *_leak_notes(leaks, "subset")]
    if not leaks and (n := len(dataset.divided_groups(subsets))):
        are = counted(n, "group is", "groups are")
        notes.append(f"{are} in training and in validation; the choice of the best epoch is less certain")
    no_fold = np.full(len(subsets), -1, dtype=np.int16)
    return Assignment(no_fold, subsets.astype(np.int8), method, tuple(notes), (), leaks)


def _folded(
    dataset: EncodedDataset, folds: Ints, numbers: tuple[int, ...], spec: SplitSpec, method_notes: tuple[str, list[str]]
) -> Assignment:
    method, notes = method_notes
    subsets = fold_subsets(dataset, folds, len(numbers), spec.valid_share)
    leaks = len(dataset.divided_groups(folds))
    notes = [*notes, *fold_notes(dataset, folds, subsets, numbers), *_leak_notes(leaks, "fold")]
    fold = np.array(numbers)[folds].astype(np.int16)
    return Assignment(fold, subsets.astype(np.int8), method, tuple(notes), numbers, leaks)


def _leak_notes(leaks: int, what: str) -> list[str]:
    if not leaks:
        return []
    verb = "is" if leaks == 1 else "are"
    return [f"{counted(leaks, 'group')} {verb} in more than one {what} of the data's own split; scores are not honest"]
