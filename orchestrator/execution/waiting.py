"""Waiting: at the start for services that start at the same time, later for a database that restarts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from db.engine import DatabaseUnusable
from orchestrator.cli.output import say
from orchestrator.execution.dispatcher import BrokerUnreachable
from tasks.runtime import liveness

_PAUSE_S = 1.0
_DATABASE_AWAY_AT_MOST_S = 300.0


def awaited(attempt: Callable[[], object], wait_s: float, shown_in: Path | None = None) -> None:
    """Tries again until database and broker are there, for `wait_s` seconds at most; says once why it waits.

    shown_in: the progress file, for a process that waits is well.
    Raises DatabaseUnusable or BrokerUnreachable as the last attempt did; anything else at once.
    """
    give_up_s = time.monotonic() + wait_s
    said = ""
    while True:
        liveness.touch(shown_in)
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


class Patience:
    """Ends no command because the database is away for a while, as when it restarts; it says so once."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._away_since: float | None = None

    @contextlib.contextmanager
    def a_while(self) -> Iterator[None]:
        """Lets pass that the database is out of reach; raises DatabaseUnusable when it has been for five minutes."""
        try:
            yield
        except DatabaseUnusable as error:
            if self._away_since is None:
                self._away_since = self._clock()
                self._say(f"{error}; waiting for it")
            if self._clock() - self._away_since > _DATABASE_AWAY_AT_MOST_S:
                raise
        else:
            self._away_since = None
