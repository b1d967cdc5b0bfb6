"""A claim is kept while its work goes on, and the work is seen to go on, step by step."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from db.ledger import presence
from db.ledger.claims import ItemClaim, JobClaim, Ledger
from domain.retry import STALLED_AFTER_S, renewal_pause_s
from tasks.runtime import liveness

_NOTED_EVERY_S = 15.0
_LOG = logging.getLogger("chorus")
_T = TypeVar("_T")


class Heartbeat:
    """Renews claims from a thread while the work goes on in the main one; `ids` are those still held.

    That it renews shows that the process lives. That the work goes on only the work can say, step by step.
    """

    def __init__(self, ledger: Ledger, claims: Sequence[ItemClaim | JobClaim], shown_in: Path | None = None) -> None:
        self.ids = frozenset(claim.id for claim in claims)
        self._ledger, self._claims, self._ended = ledger, claims, threading.Event()
        self._renewed_s = self._stepped_s = self._noted_s = time.monotonic()
        self._progress_file = shown_in
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._ended.wait(renewal_pause_s(self._ledger.lease_s)):
            for act in (self._renew, self._show):
                try:
                    act()
                except Exception:  # the database may be away for a while; the lease decides, not this thread
                    _LOG.warning("heartbeat failed", exc_info=True)

    def went_on(self) -> None:
        """A step of the work is done. It is only noted here, and shown by the thread: that costs nothing."""
        self._stepped_s = time.monotonic()

    def steps(self, things: Iterable[_T]) -> Iterator[_T]:
        """The same things; to ask for the next one is a step."""
        for thing in things:
            self.went_on()
            yield thing

    def _show(self) -> None:
        stepped_s = self._stepped_s
        if time.monotonic() - stepped_s > STALLED_AFTER_S:
            first = self._claims[0]
            what = first.kind if isinstance(first, JobClaim) else first.uri
            liveness.complain(self._progress_file, f"no step of {what} for more than {STALLED_AFTER_S:g} s")
            return
        liveness.touch(self._progress_file)
        if stepped_s > self._noted_s + _NOTED_EVERY_S:
            presence.went_on(self._ledger.database, self._ledger.worker)
            self._noted_s = stepped_s

    def _renew(self) -> None:
        asked_s = time.monotonic()
        self.ids = self._ledger.renew(self._claims)
        self._renewed_s = asked_s

    def still_held(self) -> frozenset[int]:
        """Ids of the claims still held; asked of the ledger where a lease has passed since it was last renewed.

        A process that was stopped for longer than that wakes with yesterday's answer, and others have gone on.
        """
        if time.monotonic() - self._renewed_s > self._ledger.lease_s:
            self._renew()
        return self.ids

    def __enter__(self) -> Heartbeat:
        if self._claims:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._claims:
            self._thread.join()
