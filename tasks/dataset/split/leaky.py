"""A deliberately leaky split: chunks are shuffled, regardless of their recording.

It measures how much higher the scores of a wrong evaluation are. It must not be used to evaluate a model.
"""

from __future__ import annotations

from domain.digests import number_of
from domain.subsets import Subset

VARIANT = "shuffled chunks"
"""The variant name of jobs with this split."""

_OF_TWENTY_FIVE = (Subset.TRAIN,) * 16 + (Subset.VALID,) * 4 + (Subset.TEST,) * 5


def subset(split_digest: str, recording_digest: str, chunk: int) -> Subset:
    """Return the subset of one chunk: a fifth of all chunks for test, a fifth of the rest for validation.

    The shares are those of an honest split. The result depends only on the arguments.
    chunk: number of the chunk in the recording, from 0.

    >>> subsets = [subset("split", "recording", chunk) for chunk in range(10_000)]
    >>> [round(subsets.count(each) / 10_000, 2) for each in (0, 1, 2)]
    [0.64, 0.16, 0.2]
    """
    return _OF_TWENTY_FIVE[number_of([split_digest, recording_digest, chunk]) % len(_OF_TWENTY_FIVE)]
