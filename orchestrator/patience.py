"""Waiting at the start for services that start at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable

from db.session import DatabaseUnusable
from orchestrator.dispatch import BrokerUnreachable
from orchestrator.speak import say

_PAUSE_S = 1.0


def awaited(attempt: Callable[[], object], wait_s: float) -> None:
    """Tries again until database and broker are there, for `wait_s` seconds at most; says once why it waits.

    Raises DatabaseUnusable or BrokerUnreachable as the last attempt did; anything else at once.
    """
    give_up_s = time.monotonic() + wait_s
    said = ""
    while True:
        try:
            attempt()
        except (DatabaseUnusable, BrokerUnreachable) as error:
            if time.monotonic() >= give_up_s:
                raise
            if str(error) != said:
                said = str(error)
                say(f"waiting: {said}")
            time.sleep(_PAUSE_S)
        else:
            return
