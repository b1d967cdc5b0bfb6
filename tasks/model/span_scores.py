"""The scores of one span, as a file: float32, every class."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SpanScores:
    """Scores of the windows of a span that hold sound.

    numbers: (n,) int32, the windows' numbers within the span.  scores: (n, classes) float32, 0 to 1.
    """

    numbers: NDArray[np.int32]
    scores: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """Return the file; equal scores give equal bytes."""
        file = io.BytesIO()
        np.savez(file, numbers=self.numbers, scores=self.scores)
        return file.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> SpanScores:
        """Return the scores in a file that `to_bytes` made. data: already verified."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return SpanScores(arrays["numbers"], arrays["scores"])
