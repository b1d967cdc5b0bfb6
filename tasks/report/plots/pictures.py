"""Real and synthetic spectrograms side by side, a few of each class."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]
Labels = NDArray[np.integer[Any]]

REAL, SYNTHETIC = 3, 5
"""Pictures of each kind a class."""


@dataclass(frozen=True, eq=False)
class PicturePairs:
    """The first few pictures of each class.

    real: (n, mel, frame) uint8, row 0 the lowest band, of the classes real_labels (n,); synthetic likewise.
    """

    real: Pictures
    real_labels: Labels
    synthetic: Pictures
    synthetic_labels: Labels

    @classmethod
    def of(cls, synthetic: Pictures, synthetic_labels: Labels, real: Pictures, real_labels: Labels) -> Self:
        """Chosen by their place alone, never by their looks."""
        first, others = _first_of_each(real_labels, REAL), _first_of_each(synthetic_labels, SYNTHETIC)
        return cls(real[first], real_labels[first], synthetic[others], synthetic_labels[others])

    def to_npz(self) -> bytes:
        """The same pictures give the same bytes."""
        held = io.BytesIO()
        np.savez_compressed(held, allow_pickle=False, **vars(self))
        return held.getvalue()

    @classmethod
    def from_npz(cls, data: bytes) -> Self:
        """What `to_npz` wrote. Raises ValueError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as held:
                return cls(**{name: held[name] for name in cls.__dataclass_fields__})
        except (EOFError, LookupError, TypeError, BadZipFile, zlib.error) as error:
            raise ValueError(f"no pictures: {type(error).__name__}: {error}") from error


def _first_of_each(labels: Labels, n: int) -> NDArray[np.int64]:
    places = [np.flatnonzero(labels == label)[:n] for label in np.unique(labels)]
    return np.concatenate(places) if places else np.empty(0, np.int64)
