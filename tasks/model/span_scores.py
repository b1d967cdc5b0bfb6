"""The scores of one span, as a file: float32, every class; with the first span what the header says about the time."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts


@dataclass(frozen=True, eq=False)
class SpanScores:
    """Scores of the windows of a span that hold sound.

    numbers: (n,) int32, the windows' numbers within the span.  scores: (n, classes) float32, 0 to 1.
    header: what the recording's header says about the time.
    """

    numbers: NDArray[np.int32]
    scores: NDArray[np.float32]
    header: HeaderTexts = NO_TEXTS

    def to_bytes(self) -> bytes:
        """Return the file; equal scores give equal bytes."""
        file = io.BytesIO()
        if self.header == NO_TEXTS:
            np.savez(file, numbers=self.numbers, scores=self.scores)
        else:
            header = np.frombuffer(json.dumps(self.header._asdict()).encode(), np.uint8)
            np.savez(file, numbers=self.numbers, scores=self.scores, header=header)
        return file.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> SpanScores:
        """Return the scores in a file that `to_bytes` made. data: already verified."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            texts = HeaderTexts(**json.loads(arrays["header"].tobytes())) if "header" in arrays else NO_TEXTS
            return SpanScores(arrays["numbers"], arrays["scores"], texts)
