"""Where and when a recording was made: four numbers that may stand beside what is heard in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Metadata(NamedTuple):
    """Where and when; None where nobody knows. Latitude and longitude are known together or not at all.

    latitude: degrees north, -90..90.  longitude: degrees east, -180..180.  month: 1..12.
    hour: of the day where it was recorded, 0 to below 24, minutes as its fraction.
    """

    latitude: float | None
    longitude: float | None
    month: int | None
    hour: float | None


METADATA = Metadata._fields
UNKNOWN = Metadata(None, None, None, None)


def as_numbers(values: Iterable[float | None]) -> npt.NDArray[np.float32]:
    """The values in the order of METADATA, (4,) float32, NaN where nobody knows.

    >>> as_numbers(UNKNOWN._replace(month=5)).tolist()
    [nan, nan, 5.0, nan]
    """
    return np.array([np.nan if value is None else value for value in values], np.float32)
