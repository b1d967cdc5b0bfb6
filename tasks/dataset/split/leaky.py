"""A split as nobody should make it, to measure what it would claim: chunks shuffled, whatever they were cut from."""

from __future__ import annotations

from domain.digests import number_of

VARIANT = "shuffled chunks"
"""What jobs of this split are called, among a model's other variants."""

_TRAIN, _VALID, _TEST = 0, 1, 2
_OF_TWENTY_FIVE = (_TRAIN,) * 16 + (_VALID,) * 4 + (_TEST,) * 5


def side(split_digest: str, recording_digest: str, chunk: int) -> int:
    """The side (`holdout.Side`) of one chunk: a fifth is tested, a fifth of the rest validates, as in an honest split.

    >>> sides = [side("split", "recording", chunk) for chunk in range(10_000)]
    >>> [round(sides.count(each) / 10_000, 2) for each in (0, 1, 2)]
    [0.64, 0.16, 0.2]
    """
    return _OF_TWENTY_FIVE[number_of([split_digest, recording_digest, chunk]) % len(_OF_TWENTY_FIVE)]
