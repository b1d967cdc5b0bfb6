"""The paths of many millions of rows at sixteen bytes each, to find rows that name a file again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from domain.digests import short_digest

Numbers = npt.NDArray[np.uint64]


class DigestSet:
    """A growing set of texts with a number each. It stores 64 bits of each text's BLAKE2b digest, and the number.

    The probability that two different texts among n collide is n² / 3.7e19: 3e-8 for a million texts.
    The digests are kept in sorted runs whose lengths double, so that adding n texts takes O(n log n).
    """

    def __init__(self) -> None:
        self._runs: list[tuple[Numbers, Numbers]] = []

    def add(self, texts: Sequence[str], values: Sequence[int]) -> list[int | None]:
        """Add texts with their values; return None for a new text, else the value with which it was added first.

        >>> texts = DigestSet()
        >>> texts.add(["a", "b", "a"], [1, 2, 3]), texts.add(["c", "b"], [4, 5])
        ([None, None, 1], [None, 2])
        """
        numbers, given = _numbers(texts), np.array(values, np.uint64)
        distinct, first, place = np.unique(numbers, return_index=True, return_inverse=True)
        is_found, value = self._found(distinct)
        value[~is_found] = given[first[~is_found]]
        self._store(distinct[~is_found], value[~is_found])
        is_new = np.zeros(len(numbers), dtype=bool)
        is_new[first[~is_found]] = True
        return [None if new else old for new, old in zip(is_new.tolist(), value[place].tolist(), strict=True)]

    def contains(self, texts: Sequence[str]) -> list[bool]:
        """Return for each text whether it was added."""
        return [bool(is_found) for is_found in self._found(_numbers(texts))[0]]

    def _found(self, numbers: Numbers) -> tuple[npt.NDArray[np.bool_], Numbers]:
        is_found, value = np.zeros(len(numbers), dtype=bool), np.zeros(len(numbers), np.uint64)
        for run, values in self._runs:
            at = np.minimum(np.searchsorted(run, numbers), len(run) - 1)
            is_here = run[at] == numbers
            is_found |= is_here
            value[is_here] = values[at[is_here]]
        return is_found, value

    def _store(self, numbers: Numbers, values: Numbers) -> None:
        if not len(numbers):
            return
        self._runs.append((numbers, values))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            longer, shorter = self._runs[-2:]
            merged, both = np.concatenate((longer[0], shorter[0])), np.concatenate((longer[1], shorter[1]))
            order = np.argsort(merged, kind="stable")  # stable sorting merges two sorted runs in linear time
            self._runs[-2:] = [(merged[order], both[order])]


def _numbers(texts: Sequence[str]) -> Numbers:
    return np.frombuffer(b"".join(map(short_digest, texts)), np.uint64)
