"""Renewal of claims, and the recording of progress, while a process works."""

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
    """Renews claims in a thread while the work runs in the main one; `ids` are the claims still held.

    A renewal shows only that the process lives. The work itself reports progress, by calling `note_step`.
    """

    def __init__(
        self, ledger: Ledger, claims: Sequence[ItemClaim | JobClaim], progress_file: Path | None = None
    ) -> None:
        self.ids = frozenset(claim.id for claim in claims)
        self._ledger, self._claims, self._ended = ledger, claims, threading.Event()
        self._renewed_s = self._stepped_s = self._noted_s = time.monotonic()
        self._progress_file = progress_file
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._ended.wait(renewal_pause_s(self._ledger.lease_s)):
            for act in (self._renew, self._show):
                try:
                    act()
                except Exception:  # the database may be unreachable for a while; the lease decides, not this thread
                    _LOG.warning("heartbeat failed", exc_info=True)

    def note_step(self) -> None:
        """Note that a step of the work is done. This costs nothing; the thread records it in the ledger later."""
        self._stepped_s = time.monotonic()

    def steps(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield the items; each request for the next one counts as a step."""
        for item in items:
            self.note_step()
            yield item

    def _show(self) -> None:
        stepped_s = self._stepped_s
        if time.monotonic() - stepped_s > STALLED_AFTER_S:
            first = self._claims[0]
            what = first.kind if isinstance(first, JobClaim) else first.uri
            liveness.report_stall(self._progress_file, f"no step of {what} for more than {STALLED_AFTER_S:g} s")
            return
        liveness.touch(self._progress_file)
        if stepped_s > self._noted_s + _NOTED_EVERY_S:
            presence.record_progress(self._ledger.database, self._ledger.worker)
            self._noted_s = stepped_s

    def _renew(self) -> None:
        asked_s = time.monotonic()  # before the call: the lease must not seem longer than it is
        self.ids = self._ledger.renew(self._claims)
        self._renewed_s = asked_s

    def still_held(self) -> frozenset[int]:
        """Ids of the claims still held; renews them first if a whole lease has passed since the last renewal.

        A process that was suspended for longer than a lease may have lost its claims to other workers without noticing.
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
