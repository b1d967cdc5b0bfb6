"""Units of work, as plans make them and the ledger keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class PlannedItem(NamedTuple):
    """One span to preprocess, and where its examples go.

    copy: 0 for the recording itself, else the number of an augmented copy.  group_name: what must stay in one subset.
    order_key: 64 bits, the place in the packed order.  work_s: estimated seconds of one core.
    """

    recording_id: int
    span: int
    copy: int
    fold: int
    side: int
    group_name: str
    order_key: int
    work_s: float


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What an earlier plan found in a file; valid while size and time of change are the same."""

    size_bytes: int
    mtime_ns: int
    digest: str
    n_frames: int
    rate_hz: int
