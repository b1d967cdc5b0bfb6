"""Metadata of a recording: the place and time at which it was made, as four numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Metadata(NamedTuple):
    """Place and time; None for an unknown value. Latitude and longitude are known together or not at all.

    latitude: degrees north, -90..90.  longitude: degrees east, -180..180.  month: 1..12.
    hour: local time in hours, 0 to below 24; minutes are the fraction.
    """

    latitude: float | None
    longitude: float | None
    month: int | None
    hour: float | None


METADATA = Metadata._fields
UNKNOWN = Metadata(None, None, None, None)


def as_numbers(values: Iterable[float | None]) -> npt.NDArray[np.float32]:
    """Return the values in the order of METADATA, (4,) float32; NaN for an unknown value.

    >>> as_numbers(UNKNOWN._replace(month=5)).tolist()
    [nan, nan, 5.0, nan]
    """
    return np.array([np.nan if value is None else value for value in values], np.float32)
