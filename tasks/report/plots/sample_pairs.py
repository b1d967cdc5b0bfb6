"""A few real and synthetic spectrograms of each class."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Spectrograms = NDArray[np.uint8]
Labels = NDArray[np.integer[Any]]

REAL, SYNTHETIC = 3, 5
"""Number of spectrograms of each kind per class."""


@dataclass(frozen=True, eq=False)
class SamplePairs:
    """The first spectrograms of each class.

    real: (n, mel, frame) uint8, row 0 the lowest band.  real_labels: (n,) label numbers.  synthetic likewise.
    """

    real: Spectrograms
    real_labels: Labels
    synthetic: Spectrograms
    synthetic_labels: Labels

    @classmethod
    def of(cls, synthetic: Spectrograms, synthetic_labels: Labels, real: Spectrograms, real_labels: Labels) -> Self:
        """Select the first spectrograms of each class: three real and five synthetic ones, or fewer if there are fewer.

        synthetic, real: (n, mel, frame) uint8; their n may differ.  synthetic_labels, real_labels: (n,) label numbers.
        """
        first, others = _first_of_each(real_labels, REAL), _first_of_each(synthetic_labels, SYNTHETIC)
        return cls(real[first], real_labels[first], synthetic[others], synthetic_labels[others])

    def to_npz(self) -> bytes:
        """Serialise to .npz; equal samples give equal bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **vars(self))
        return file.getvalue()

    @classmethod
    def from_npz(cls, data: bytes) -> Self:
        """Deserialise the output of `to_npz`.

        Raises: ValueError for any other data.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return cls(**{name: file[name] for name in cls.__dataclass_fields__})
        except (EOFError, LookupError, TypeError, BadZipFile, zlib.error) as error:
            raise ValueError(f"no spectrograms: {type(error).__name__}: {error}") from error


def _first_of_each(labels: Labels, n: int) -> NDArray[np.int64]:
    places = [np.flatnonzero(labels == label)[:n] for label in np.unique(labels)]
    return np.concatenate(places) if places else np.empty(0, np.int64)
