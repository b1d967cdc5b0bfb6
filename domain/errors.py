"""The tree of errors. Those that can end an item or a job carry the code of their reason.

Four branches, after what is at fault: the recording (`Unusable`), the machine (`MachineFault`), the request
(`Impossible`), or a file this system made (`Damaged`). `domain.retry` turns an error into a decision.
"""

from __future__ import annotations

from typing import ClassVar

from domain.reasons import ReasonCode


class ChorusError(Exception):
    """Root of every error this system raises on purpose; its text is a sentence a person can act on."""

    exit_code: ClassVar[int] = 1
    """What a command ends with: 1 it failed, 2 it was asked the wrong way, 4 broker, database or home out of reach."""


class Unusable(ChorusError):
    """A recording that cannot become examples."""

    code: ClassVar[ReasonCode] = ReasonCode.UNREADABLE


class Unreadable(Unusable):
    """The bytes look like a known format and cannot be decoded."""


class Empty(Unusable):
    """No samples at all."""

    code = ReasonCode.EMPTY


class TooShort(Unusable):
    """Fewer samples than the preset's shortest recording."""

    code = ReasonCode.TOO_SHORT


class Silent(Unusable):
    """No sample above the preset's silence level."""

    code = ReasonCode.SILENT


class UnsupportedFormat(Unusable):
    """A format, rate or number of channels that is not decoded here."""

    code = ReasonCode.UNSUPPORTED_FORMAT


class Inconsistent(Unusable):
    """The header promises something that the content does not hold."""

    code = ReasonCode.HEADER_MISMATCH


class Missing(Unusable):
    """The recording was there when it was planned, and is gone."""

    code = ReasonCode.MISSING


class Changed(Unusable):
    """The recording's bytes are not those that were planned."""

    code = ReasonCode.CHANGED


class Outside(Unusable):
    """A link leads out of the dataset's folder."""

    code = ReasonCode.OUTSIDE_DATASET


class MachineFault(ChorusError):
    """Disk, store or database failed: nothing is wrong with the recording, and another attempt may succeed."""

    code: ClassVar[ReasonCode] = ReasonCode.MACHINE_FAULT


class Impossible(ChorusError):
    """What was asked cannot be done with this data, however often it is tried: one class only, a NaN loss."""

    code: ClassVar[ReasonCode] = ReasonCode.IMPOSSIBLE


class Damaged(ChorusError):
    """A strip, shard or model in the store that is not one: cut short, changed, or of another version.

    Reading it again gives the same bytes, so nothing is tried again before the file is made again.
    """

    code: ClassVar[ReasonCode] = ReasonCode.DAMAGED_FILE
    remedy: ClassVar[str] = "`orchestrator doctor --repair` marks it, and `orchestrator retry` has it made again"
    """What a person can do; printed after the error."""


class UsageError(ChorusError):
    """An option or a setting has a value that makes no sense."""

    exit_code = 2


class HomeUnusable(ChorusError):
    """The home folder cannot be written, holds no ledger, or is in use by another command."""

    exit_code = 4


class BrokerUnreachable(ChorusError):
    """The broker does not answer, or accepts no more messages."""

    exit_code = 4
