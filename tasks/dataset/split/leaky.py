"""A split as nobody should make it, to measure what it would claim: chunks shuffled, whatever they were cut from."""

from __future__ import annotations

from domain.digests import number_of
from domain.subsets import Subset

VARIANT = "shuffled chunks"
"""What jobs of this split are called, among a model's other variants."""

_OF_TWENTY_FIVE = (Subset.TRAIN,) * 16 + (Subset.VALID,) * 4 + (Subset.TEST,) * 5


def subset(split_digest: str, recording_digest: str, chunk: int) -> Subset:
    """The subset of one chunk: a fifth is tested, a fifth of the rest validates, as in an honest split.

    >>> subsets = [subset("split", "recording", chunk) for chunk in range(10_000)]
    >>> [round(subsets.count(each) / 10_000, 2) for each in (0, 1, 2)]
    [0.64, 0.16, 0.2]
    """
    return _OF_TWENTY_FIVE[number_of([split_digest, recording_digest, chunk]) % len(_OF_TWENTY_FIVE)]
