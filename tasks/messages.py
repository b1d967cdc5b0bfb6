"""The wire: one frozen dataclass a task, ids only, JSON only.

A message is a doorbell: losing one, or hearing it three times, changes nothing, because the ledger is the truth.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from tasks.failures import ChorusError

VERSION = 1


class UnknownMessage(ChorusError):
    """A message this version does not understand; it is left to a worker that does."""


def _ids(message: dict[str, Any], *names: str) -> None:
    expected = {"version", *names}
    if set(message) != expected:
        raise UnknownMessage(f"message fields {sorted(message)} are not {sorted(expected)}")
    if message["version"] != VERSION:
        raise UnknownMessage(f"message version {message['version']!r} is not {VERSION}; upgrade this worker")


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
        """The value a worker received. Raises UnknownMessage for anything but positive ids of this version."""
        _ids(message, "run", "items")
        items = message["items"]
        if not _is_id(message["run"]) or not isinstance(items, list) or not all(map(_is_id, items)):
            raise UnknownMessage(f"run {message['run']!r} or items {items!r:.80} are not positive whole numbers")
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
        """The value a worker received. Raises UnknownMessage for anything but positive ids of this version."""
        _ids(message, "run", "job")
        if not _is_id(message["run"]) or not _is_id(message["job"]):
            raise UnknownMessage(f"run {message['run']!r} or job {message['job']!r} is not a positive whole number")
        return cls(run=message["run"], job=message["job"])
