"""Paths met before, among many millions, at eight bytes each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from domain.digests import short_digest

Numbers = npt.NDArray[np.uint64]


class Seen:
    """A growing set of texts, each kept as 64 bits of its BLAKE2b digest.

    Two different texts among n are taken for one with a chance of n² / 3.7e19: 3e-8 at a million.
    Kept in sorted runs of doubling length, so that n texts cost n · log n in all.
    """

    def __init__(self) -> None:
        self._runs: list[Numbers] = []

    def are_new(self, texts: Sequence[str]) -> list[bool]:
        """Of each text, whether it comes for the first time; they are known from now on.

        >>> seen = Seen()
        >>> seen.are_new(["a", "b", "a"]), seen.are_new(["c", "b"])
        ([True, True, False], [True, False])
        """
        numbers = np.frombuffer(b"".join(map(short_digest, texts)), np.uint64)
        distinct, first = np.unique(numbers, return_index=True)
        is_new = ~self._holds(distinct)
        self._keep(distinct[is_new])
        answer = np.zeros(len(numbers), dtype=bool)
        answer[first[is_new]] = True
        return answer.tolist()

    def _holds(self, numbers: Numbers) -> npt.NDArray[np.bool_]:
        held = np.zeros(len(numbers), dtype=bool)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, numbers), len(run) - 1)
            held |= run[at] == numbers
        return held

    def _keep(self, numbers: Numbers) -> None:
        if not len(numbers):
            return
        self._runs.append(numbers)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            longer, shorter = self._runs[-2:]
            merged = np.concatenate((longer, shorter))
            merged.sort(kind="stable")  # two sorted runs: one merge
            self._runs[-2:] = [merged]
