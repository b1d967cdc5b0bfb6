"""Waiting for services: at the start, and for a database that restarts during a command."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from db.engine import DatabaseUnusable
from domain.errors import BrokerUnreachable
from domain.retry import LONGEST_DATABASE_OUTAGE_S
from tasks.runtime import liveness

_PAUSE_S = 1.0


Say = Callable[[str], object]
"""Prints a line for people."""


def wait_for(attempt: Callable[[], object], wait_s: float, say: Say, progress_file: Path | None = None) -> None:
    """Repeat the attempt until database and broker answer, for at most `wait_s` seconds.

    say: receives the reason for waiting, once for each new reason.
    progress_file: touched at each attempt, because a process that waits is healthy.

    Raises:
        DatabaseUnusable, BrokerUnreachable: from the last attempt. Any other error is raised at once.
    """
    give_up_s = time.monotonic() + wait_s
    reported = ""
    while True:
        liveness.touch(progress_file)
        try:
            attempt()
        except (DatabaseUnusable, BrokerUnreachable) as error:
            if time.monotonic() >= give_up_s:
                raise
            if str(error) != reported:
                reported = str(error)
                say(f"waiting: {reported}")
            time.sleep(_PAUSE_S)
        else:
            return


class OutageTolerance:
    """Tolerates database outages of up to five minutes; reports each outage once."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._out_since_s: float | None = None

    @contextlib.contextmanager
    def tolerated(self) -> Iterator[None]:
        """Ignore DatabaseUnusable inside the block.

        Raises:
            DatabaseUnusable: the database has not answered for five minutes.
        """
        try:
            yield
        except DatabaseUnusable as error:
            if self._out_since_s is None:
                self._out_since_s = self._clock()
                self._say(f"{error}; waiting for it")
            if self._clock() - self._out_since_s > LONGEST_DATABASE_OUTAGE_S:
                raise
        else:
            self._out_since_s = None
