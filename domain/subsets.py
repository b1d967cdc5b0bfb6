"""The subsets of a split, its folds, and the parts that a model must not be trained on."""

from __future__ import annotations

from enum import IntEnum

from domain.frozen_words import SUBSET_WORDS

HOLDOUT = -1
"""The fold of everything in a split without folds."""


class Subset(IntEnum):
    """What a recording is used for: training, stopping the training, or evaluation. The ledger stores the numbers."""

    TRAIN = 0
    VALID = 1
    TEST = 2

    @property
    def word(self) -> str:
        """The subset's name in stored facts: `train`, `valid` or `test`.

        >>> Subset.VALID.word
        'valid'
        """
        return SUBSET_WORDS[self]

    @classmethod
    def of(cls, word: str) -> Subset:
        """Return the subset with this name in stored facts. Raises: ValueError for another word.

        >>> Subset.of("valid")
        <Subset.VALID: 1>
        """
        return cls(SUBSET_WORDS.index(word))


def is_unseen(part_fold: int | None, part_subset: int | None, fold: int | None) -> bool:
    """Whether a part (fold and subset) is evaluated in a fold, and so never trained on there.

    In a holdout this is the test subset. With folds it is the part of the fold itself; its subset does not matter.

    >>> is_unseen(HOLDOUT, Subset.TEST, HOLDOUT), is_unseen(1, Subset.TRAIN, 1), is_unseen(1, Subset.TRAIN, 0)
    (True, True, False)
    """
    return part_subset == Subset.TEST if fold == HOLDOUT else part_fold == fold
