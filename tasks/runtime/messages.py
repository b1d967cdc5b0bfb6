"""Messages: one frozen dataclass per task, with ids only, sent as JSON.

Losing a message or receiving it three times changes no result, because the ledger is the truth.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from domain.errors import ChorusError
from domain.logs import escaped
from domain.work import MAX_ITEMS_PER_MESSAGE

VERSION = 1


class UnknownMessage(ChorusError):
    """A message of a later version; it stays in the queue for a worker that understands it."""


class MalformedMessage(ChorusError):
    """A message that this system never sent, or of a version that is no longer supported."""


_CONFIG = ConfigDict(extra="forbid")

Id = Annotated[int, Field(strict=True, gt=0, lt=1 << 63)]


@dataclass(frozen=True, config=_CONFIG)
class _Message:
    """Common parts of messages; pydantic checks the fields, and an unknown field is an error."""

    def to_dict(self) -> dict[str, Any]:
        """The message as a dictionary for JSON."""
        return {**vars(self)}

    @classmethod
    def from_dict(cls, message: object) -> Self:
        """The message that a worker received.

        Raises: UnknownMessage for a later version; MalformedMessage for anything but the fields of this version.
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
            field = escaped(".".join(map(str, wrong["loc"]))) or "fields"
            raise MalformedMessage(f"message {message!r:.200}: {field:.80}: {wrong['msg']}") from error


@dataclass(frozen=True, config=_CONFIG)
class ItemsMessage(_Message):
    """Items of one run to preprocess or predict; several small ones share a message."""

    run: Id
    items: Annotated[tuple[Id, ...], Field(max_length=MAX_ITEMS_PER_MESSAGE)]
    version: int = VERSION


@dataclass(frozen=True, config=_CONFIG)
class JobMessage(_Message):
    """One job of one run; the task's name says whether to pack, train, evaluate, render or collect."""

    run: Id
    job: Id
    version: int = VERSION
