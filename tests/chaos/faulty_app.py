"""A cpu worker's app whose decoder does to the process what the recording's name says."""

from __future__ import annotations

import ctypes
from itertools import count

from db.ledger import ItemClaim, StripFacts
from db.store import Store
from tasks import preprocess
from workers.app import app

__all__ = ["app"]

_made = preprocess.strip_in_store


def _deadly(claim: ItemClaim, store: Store) -> StripFacts:
    if "segfault" in claim.uri:
        ctypes.string_at(0)
    if "forever" in claim.uri:
        for _ in count():
            pass
    if "memory" in claim.uri:
        raise MemoryError
    return _made(claim, store)


preprocess.strip_in_store = _deadly
