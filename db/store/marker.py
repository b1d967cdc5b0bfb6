"""Markers: one file in a store for each ledger that keeps files there.

A store without its disk, such as a bare mount point, has no marker. A store that is bound to a ledger refuses to write
then, and does not take its files for lost.
"""

from __future__ import annotations

import re

from db.store.objects import StoreUnreachable

FOLDER = "ledgers"
_ID = re.compile(r"[0-9a-f]{32}")


def is_ledger_id(name: str) -> bool:
    """Whether the name is the id of a ledger, and not of a file that a system left, such as `.DS_Store`."""
    return bool(_ID.fullmatch(name))


def marker_key(ledger: str) -> str:
    """The key of the ledger's marker. Raises: ValueError if it is not an id of a ledger."""
    if not is_ledger_id(ledger):
        raise ValueError(f"{ledger!r:.80} is not the id of a ledger: 32 hexadecimal digits")
    return f"{FOLDER}/{ledger}"


def not_the_store(location: str, ledger: str) -> StoreUnreachable:
    """The error for a store without the marker of the ledger that is bound to it."""
    return StoreUnreachable(
        f"the store {location} does not hold the marker {marker_key(ledger)} of this ledger; check that its disk is "
        "mounted and that the store is the right one. If its files are gone for good, create that file, empty, and run "
        "`orchestrator doctor --repair`"
    )
