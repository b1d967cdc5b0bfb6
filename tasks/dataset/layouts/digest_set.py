"""A set of many millions of texts at eight bytes each, to find duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from domain.digests import short_digest

Numbers = npt.NDArray[np.uint64]


class DigestSet:
    """A growing set of texts that stores 64 bits of each text's BLAKE2b digest.

    The probability that two different texts among n collide is n² / 3.7e19: 3e-8 for a million texts.
    The digests are kept in sorted runs whose lengths double, so that adding n texts takes O(n log n).
    """

    def __init__(self) -> None:
        self._runs: list[Numbers] = []

    def add(self, texts: Sequence[str]) -> list[bool]:
        """Add texts, and return for each whether it is new.

        >>> texts = DigestSet()
        >>> texts.add(["a", "b", "a"]), texts.add(["c", "b"])
        ([True, True, False], [True, False])
        """
        numbers = np.frombuffer(b"".join(map(short_digest, texts)), np.uint64)
        distinct, first = np.unique(numbers, return_index=True)
        is_new = ~self._contains(distinct)
        self._store(distinct[is_new])
        is_new_text = np.zeros(len(numbers), dtype=bool)
        is_new_text[first[is_new]] = True
        return is_new_text.tolist()

    def _contains(self, numbers: Numbers) -> npt.NDArray[np.bool_]:
        is_found = np.zeros(len(numbers), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, numbers), len(run) - 1)
            is_found |= run[at] == numbers
        return is_found

    def _store(self, numbers: Numbers) -> None:
        if not len(numbers):
            return
        self._runs.append(numbers)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            longer, shorter = self._runs[-2:]
            merged = np.concatenate((longer, shorter))
            merged.sort(kind="stable")  # stable sorting merges two sorted runs in linear time
            self._runs[-2:] = [merged]
