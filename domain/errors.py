"""The tree of errors. Those that can end an item or a job have a reason code.

They form four branches, by what is at fault: the recording (`Unusable`), the machine (`MachineFault`), the request
(`Impossible`), or a file that this system wrote (`Damaged`). `domain.retry` turns an error into a decision.
"""

from __future__ import annotations

from typing import ClassVar

from domain.reasons import ReasonCode


class ChorusError(Exception):
    """Root of all errors that this system raises on purpose. The text is a sentence that a user can act on."""

    exit_code: ClassVar[int] = 1
    """Exit code of the command: 1 failure, 2 wrong usage, 4 broker, database or home cannot be reached."""


class Unusable(ChorusError):
    """A recording that cannot become examples."""

    code: ClassVar[ReasonCode] = ReasonCode.UNREADABLE


class Unreadable(Unusable):
    """The bytes look like a known format but cannot be decoded."""


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


class NoDecoder(Unusable):
    """A format that an optional package decodes, which is not installed here."""

    code = ReasonCode.NO_DECODER


class Inconsistent(Unusable):
    """The header declares content that the file does not hold."""

    code = ReasonCode.HEADER_MISMATCH


class OffScale(Unusable):
    """Samples far beyond full scale, such as 16 bit integers stored as floats."""

    code = ReasonCode.OFF_SCALE


class Missing(Unusable):
    """The recording existed when it was planned, and is missing now."""

    code = ReasonCode.MISSING


class Changed(Unusable):
    """The recording's bytes are not those that were planned."""

    code = ReasonCode.CHANGED


class Outside(Unusable):
    """A link leads out of the dataset's folder."""

    code = ReasonCode.OUTSIDE_DATASET


class NoPermission(Unusable):
    """The file may not be opened by this user, while other files of the dataset may."""

    code = ReasonCode.NO_PERMISSION


class CannotBeRead(Unusable):
    """Reading the file fails at two attempts, while other files of the dataset can be read."""

    code = ReasonCode.CANNOT_BE_READ


class MachineFault(ChorusError):
    """Disk, store or database failed: nothing is wrong with the recording, and another attempt may succeed."""

    code: ClassVar[ReasonCode] = ReasonCode.MACHINE_FAULT


class Impossible(ChorusError):
    """The request cannot be met with this data, however often it is tried: a single class, a NaN loss."""

    code: ClassVar[ReasonCode] = ReasonCode.IMPOSSIBLE


class Damaged(ChorusError):
    """A strip, shard or model in the store is truncated, changed, or of another version.

    Reading it again gives the same bytes, so the work that reads it is not retried until the file is regenerated.
    """

    code: ClassVar[ReasonCode] = ReasonCode.DAMAGED_FILE
    remedy: ClassVar[str] = (
        "`orchestrator doctor --repair` marks it for regeneration, and `orchestrator retry` makes it again"
    )
    """What a user can do; printed after the error."""


class UsageError(ChorusError):
    """An option or a setting has a value that makes no sense."""

    exit_code = 2


class HomeUnusable(ChorusError):
    """The home folder cannot be written, holds no ledger, or is in use by another command."""

    exit_code = 4


class BrokerUnreachable(ChorusError):
    """The broker does not answer, or accepts no more messages."""

    exit_code = 4
