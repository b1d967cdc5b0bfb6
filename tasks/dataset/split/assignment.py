"""Which recording learns, which validates, which judges: decided by group, before anything is augmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.plural import counted
from domain.subsets import Subset
from tasks.dataset.split.class_counts import Cohort, Folds, Sides
from tasks.dataset.split.folds import completed_folds, drawn_folds, fold_notes, fold_sides
from tasks.dataset.split.groups import Coded, Ints, groups, joined_groups
from tasks.dataset.split.holdout import SplitError, drawn_sides, official_sides, presence_notes

__all__ = ["Assignment", "Coded", "SplitError", "SplitSpec", "Subset", "assign", "groups", "joined_groups"]


@dataclass(frozen=True)
class SplitSpec:
    """What was asked for. n_folds: None for one holdout.  valid_share: of the training groups, in every run.

    Raises SplitError for fewer than two folds and for shares that are not between 0 and 1.
    """

    n_folds: int | None
    seed: int
    test_share: float = 0.2
    valid_share: float = 0.2

    def __post_init__(self) -> None:
        if self.n_folds is not None and self.n_folds < 2:
            raise SplitError(f"{self.n_folds} folds cannot judge anything; ask for 2 or more, or for none")
        for name, share in (("test", self.test_share), ("validation", self.valid_share)):
            if not 0 < share < 1:
                raise SplitError(f"{name} share {share} is not between 0 and 1")


@dataclass(frozen=True, eq=False)
class Assignment:
    """Where each recording stands.

    fold: (n,) the fold that tests it, -1 throughout a holdout.  side: (n,) a Subset; with folds TRAIN or VALID, what
    it is used for in the runs that test another fold.  folds: the fold numbers to run, () for a holdout.
    leaks: groups that stand on two sides or in two folds, which only the data's own columns can bring about; with any,
    the result must not be called honest.
    """

    fold: Folds
    side: Sides
    method: str
    notes: tuple[str, ...]
    folds: tuple[int, ...]
    leaks: int


def assign(labels: Coded, groups: Coded, official_fold: Ints, official_side: Ints, spec: SplitSpec) -> Assignment:
    """The split of a dataset, one entry a recording in each column.

    official_fold, official_side: (n,) what the data says, -1 where it says nothing.

    The data's own sides win, then its own folds, then the folds asked for; else a holdout is drawn. What is drawn
    follows from the seed and the names of groups and classes, not from the order of the recordings, keeps groups
    whole, and brings each class to every side it has groups for.
    Raises SplitError when there are fewer than two classes, or too few groups for what is asked.
    Raises ValueError when the columns are not of one length.
    """
    if not len(labels) == len(groups) == len(official_fold) == len(official_side):
        raise ValueError("labels, groups, official folds and official sides are not one each for every recording")
    cohort = Cohort.of(labels, groups, spec.seed)
    if len(cohort.class_names) < 2:
        n = counted(len(cohort.class_names), "class", "classes")
        raise SplitError(f"{n}: a classifier needs at least two labels")
    own_folds = np.unique(official_fold[official_fold >= 0])
    if (official_side > Subset.TRAIN).any():
        return _by_official_sides(cohort, official_side, spec, has_folds=len(own_folds) > 0)
    notes = ["the split column names no valid or test side and was not used"] if (official_side >= 0).any() else []
    if len(own_folds) > 1:
        return _by_official_folds(cohort, official_fold, own_folds, spec, notes)
    if len(own_folds) == 1:
        notes.append(f"the fold column only knows fold {own_folds[0]} and was not used")
    return _by_draw(cohort, spec, notes)


def _by_official_sides(cohort: Cohort, given: Ints, spec: SplitSpec, *, has_folds: bool) -> Assignment:
    sides, notes = official_sides(cohort, given, (spec.test_share, spec.valid_share))
    if has_folds or spec.n_folds:
        notes.append("the data's own split was used, so there are no folds")
    return _holdout(cohort, sides, "the data's own split", notes)


def _by_official_folds(cohort: Cohort, given: Ints, own: Ints, spec: SplitSpec, notes: list[str]) -> Assignment:
    positions = np.where(given >= 0, np.searchsorted(own, given), -1)
    folds, more = completed_folds(cohort, positions, len(own))
    notes = [*notes, *more]
    if spec.n_folds not in (None, len(own)):
        notes.append(f"the data's own {len(own)} folds were used, not the {spec.n_folds} asked for")
    return _folded(cohort, folds, tuple(own.tolist()), spec, (f"the data's own {len(own)} folds", notes))


def _by_draw(cohort: Cohort, spec: SplitSpec, notes: list[str]) -> Assignment:
    if spec.n_folds:
        method = f"{spec.n_folds} folds drawn by group with seed {spec.seed}"
        numbers = tuple(range(spec.n_folds))
        return _folded(cohort, drawn_folds(cohort, spec.n_folds), numbers, spec, (method, notes))
    learned = 1 - spec.test_share
    shares = {
        Subset.TRAIN: learned * (1 - spec.valid_share),
        Subset.VALID: learned * spec.valid_share,
        Subset.TEST: spec.test_share,
    }
    method = f"train, valid and test drawn by group with seed {spec.seed}"
    return _holdout(cohort, drawn_sides(cohort, shares), method, notes)


def _holdout(cohort: Cohort, sides: Ints, method: str, notes: list[str]) -> Assignment:
    leaks = cohort.torn(sides)
    notes = [*notes, *presence_notes(cohort, sides), *_leak_notes(leaks, "side")]
    no_fold = np.full(len(sides), -1, dtype=np.int16)
    return Assignment(no_fold, sides.astype(np.int8), method, tuple(notes), (), leaks)


def _folded(
    cohort: Cohort, folds: Ints, numbers: tuple[int, ...], spec: SplitSpec, method_notes: tuple[str, list[str]]
) -> Assignment:
    method, notes = method_notes
    sides = fold_sides(cohort, folds, len(numbers), spec.valid_share)
    leaks = cohort.torn(folds)
    notes = [*notes, *fold_notes(cohort, folds, sides, numbers), *_leak_notes(leaks, "fold")]
    fold = np.array(numbers)[folds].astype(np.int16)
    return Assignment(fold, sides.astype(np.int8), method, tuple(notes), numbers, leaks)


def _leak_notes(leaks: int, what: str) -> list[str]:
    if not leaks:
        return []
    return [f"{leaks:,} groups stand in more than one {what} of the data's own: what is measured is not honest"]
