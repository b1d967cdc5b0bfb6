"""Where an example may be used: the subsets of a split, its folds, and which part a model must not have seen."""

from __future__ import annotations

from enum import IntEnum

HOLDOUT = -1
"""The fold of everything in a split without folds."""


class Subset(IntEnum):
    """What a recording is used for: training, stopping the training, or evaluation. The numbers stand in the ledger."""

    TRAIN = 0
    VALID = 1
    TEST = 2


def is_unseen(part_fold: int | None, part_subset: int | None, fold: int | None) -> bool:
    """Whether a part (fold and subset) is evaluated in a fold, and so never trained on there.

    In a holdout that is the test subset. With folds it is the part of the fold itself, whatever its subset.

    >>> is_unseen(HOLDOUT, Subset.TEST, HOLDOUT), is_unseen(1, Subset.TRAIN, 1), is_unseen(1, Subset.TRAIN, 0)
    (True, True, False)
    """
    return part_subset == Subset.TEST if fold == HOLDOUT else part_fold == fold
