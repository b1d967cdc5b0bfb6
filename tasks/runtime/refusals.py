"""Messages that are refused: the kinds, and how many of each a process has removed."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from enum import StrEnum

from domain.errors import ChorusError

_LOG = logging.getLogger("chorus")

REFUSED_KEY = "chorus.refused"
"""Hash of the broker: how many messages were refused since the broker was last emptied, by the name of their kind."""


class Refusal(StrEnum):
    """Why a message, an entry or a key of the broker was removed."""

    TOO_LARGE = "too large"
    NOT_JSON = "not JSON"
    ODD_ENVELOPE = "odd envelope"
    OPTION = "option that is never sent"
    UNKNOWN_TASK = "unknown task"
    ODD_CONTENT = "odd content"
    ODD_CONTROL = "odd control message"
    ODD_ENTRY = "odd entry of an unacknowledged message"
    ODD_KEY = "key of a wrong type"
    FAILED = "error while it was received"


class Refused(ChorusError):
    """A message that is removed from its queue instead of being carried out."""

    def __init__(self, why: Refusal) -> None:
        super().__init__(why.value)
        self.why = why


class Refusals:
    """Counts refused messages of this process.

    Logs the first of each kind, and then each tenth, hundredth and so on: a million of them fill no disk. A line never
    shows a message, whose text may hold a secret or control a terminal.
    """

    def __init__(self) -> None:
        self.counts: Counter[Refusal] = Counter()
        self._unreported: Counter[Refusal] = Counter()
        self._lock = threading.Lock()

    def add(self, why: Refusal) -> None:
        """Count one."""
        with self._lock:
            self.counts[why] += 1
            self._unreported[why] += 1
            n = self.counts[why]
        if n == 10 ** (len(str(n)) - 1):
            _LOG.error("a message is refused and removed: %s (%d so far)", why.value, n)

    def take_unreported(self) -> Counter[Refusal]:
        """The counts since the last call."""
        with self._lock:
            taken, self._unreported = self._unreported, Counter()
        return taken


REFUSALS = Refusals()
