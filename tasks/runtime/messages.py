"""The wire: one frozen dataclass a task, ids only, JSON only.

A message is a doorbell: losing one, or hearing it three times, changes nothing, because the ledger is the truth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from domain.errors import ChorusError

VERSION = 1
MAX_ITEMS = 200
"""Items a message names at most, as many as the dispatcher sends: a statement with any number of them has no end."""


class UnknownMessage(ChorusError):
    """A message of a later version; it is left to a worker that understands it."""


class MalformedMessage(ChorusError):
    """A message that no worker sent here would understand: not by this system, or of a version that is no more."""


def _ids(message: object, *names: str) -> None:
    expected = {"version", *names}
    if not isinstance(message, dict):
        raise MalformedMessage(f"message {message!r:.80} has no fields; these are expected: {sorted(expected)}")
    version = message.get("version")
    if isinstance(version, int) and _is_id(version) and version > VERSION:
        raise UnknownMessage(f"message version {version!r:.80} is not {VERSION}; upgrade this worker")
    if version != VERSION or isinstance(version, bool) or set(message) != expected:
        fields = f"message fields {sorted(message, key=str)!s:.200} of version {version!r:.80}"
        raise MalformedMessage(f"{fields} are not {sorted(expected)} of version {VERSION}")


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


@dataclass(frozen=True)
class PreprocessMessage:
    """Items of one run to preprocess; several share a message when each is little work."""

    run: int
    items: tuple[int, ...]
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"version": self.version, "run": self.run, "items": list(self.items)}

    @classmethod
    def from_dict(cls, message: dict[str, Any]) -> Self:
        """The value a worker received.

        Raises UnknownMessage for a later version, MalformedMessage for anything but a few positive ids of this one.
        """
        _ids(message, "run", "items")
        items = message["items"]
        if not _is_id(message["run"]) or not isinstance(items, list) or not all(map(_is_id, items)):
            raise MalformedMessage(f"run {message['run']!r:.80} or items {items!r:.80} are not positive whole numbers")
        if len(items) > MAX_ITEMS:
            raise MalformedMessage(f"a message of {len(items)} items is too long; {MAX_ITEMS} is the most")
        return cls(run=message["run"], items=tuple(items))


@dataclass(frozen=True)
class JobMessage:
    """One job of one run: to pack, train, evaluate or render; the task's name says which."""

    run: int
    job: int
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, message: dict[str, Any]) -> Self:
        """The value a worker received.

        Raises UnknownMessage for a later version, MalformedMessage for anything but positive ids of this one.
        """
        _ids(message, "run", "job")
        if not _is_id(message["run"]) or not _is_id(message["job"]):
            raise MalformedMessage(
                f"run {message['run']!r:.80} or job {message['job']!r:.80} is not a positive whole number"
            )
        return cls(run=message["run"], job=message["job"])
