"""The wire: one frozen dataclass a task, ids only, JSON only.

A message is a doorbell: losing one, or hearing it three times, changes nothing, because the ledger is the truth.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from domain.errors import ChorusError

VERSION = 1
MAX_ITEMS = 200
"""Items a message names at most, as many as the dispatcher sends: a statement with any number of them has no end."""


class UnknownMessage(ChorusError):
    """A message of a later version; it is left to a worker that understands it."""


class MalformedMessage(ChorusError):
    """A message that no worker sent here would understand: not by this system, or of a version that is no more."""


_CONFIG = ConfigDict(extra="forbid")

Id = Annotated[int, Field(strict=True, gt=0, lt=1 << 63)]


@dataclass(frozen=True, config=_CONFIG)
class _Message:
    """Fields that pydantic checks; a further one is an error."""

    def to_dict(self) -> dict[str, Any]:
        """The form that becomes JSON."""
        return {**vars(self)}

    @classmethod
    def from_dict(cls, message: object) -> Self:
        """The value a worker received.

        Raises UnknownMessage for a later version, MalformedMessage for anything but a few positive ids of this one.
        """
        version = message.get("version") if isinstance(message, dict) else None
        if type(version) is int and VERSION < version < 1 << 63:
            raise UnknownMessage(f"message version {version} is not {VERSION}; upgrade this worker")
        if not isinstance(message, dict) or type(version) is not int or version != VERSION:
            raise MalformedMessage(f"message {message!r:.80} has no fields of version {VERSION}")
        try:
            return cls(**message)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            field = ".".join(map(str, wrong["loc"])) or "fields"
            raise MalformedMessage(f"message {message!r:.200}: {field:.80}: {wrong['msg']}") from error


@dataclass(frozen=True, config=_CONFIG)
class PreprocessMessage(_Message):
    """Items of one run to preprocess; several share a message when each is little work."""

    run: Id
    items: Annotated[tuple[Id, ...], Field(max_length=MAX_ITEMS)]
    version: int = VERSION


@dataclass(frozen=True, config=_CONFIG)
class JobMessage(_Message):
    """One job of one run: to pack, train, evaluate or render; the task's name says which."""

    run: Id
    job: Id
    version: int = VERSION
