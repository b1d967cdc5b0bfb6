"""When a recording was made: the recorder's clock, placed in a zone that is written or that the user named."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.errors import UsageError
from domain.plural import counted
from tasks.dataset.recorders.clocks import Clock, offset_of


class TimeDoubt(StrEnum):
    """Why a recording's time is unknown or uncertain; commands count recordings by it."""

    NONE = ""
    NO_TIME = "no time"
    """Neither name nor header has one; for counts, as there is no clock then."""
    NO_ZONE = "no zone"
    """Local time is known, UTC is not."""
    CLOCK_UNSET = "clock unset"
    """The clock was in 1970."""
    TWICE = "twice"
    """The local time exists twice, because clocks were put back; the first is used."""
    SKIPPED = "skipped"
    """The local time does not exist, because clocks were put forward; the recorder's was not, and is corrected."""


_WARNINGS = {
    TimeDoubt.NO_TIME: "no time in name or header; the detection history leaves them out",
    TimeDoubt.NO_ZONE: "local time without a zone, so UTC is unknown; name the zone: --timezone Europe/Berlin",
    TimeDoubt.CLOCK_UNSET: "the clock was not set (1970), so the time is unknown; "
    "the detection history leaves them out",
    TimeDoubt.TWICE: "local time that exists twice, because clocks were put back; the first is used. "
    "If the recorder keeps its offset all year, name that: --timezone +01:00",
    TimeDoubt.SKIPPED: "local time that does not exist, because clocks were put forward; an hour is added. "
    "If the recorder keeps its offset all year, name that: --timezone +01:00",
}


class RecordedAt(NamedTuple):
    """The start of a recording.

    utc: None if the zone is unknown.  local: with the zone's offset; without an offset if the zone is unknown; None
    if the clock was not set.  zone: where the zone is from: header, name, option, or "" if it is unknown.
    source: the text the time is from, such as "AudioMoth comment".
    """

    utc: datetime | None
    local: datetime | None
    zone: str
    source: str
    doubt: TimeDoubt = TimeDoubt.NONE


def recorded_at(clock: Clock, zone: tzinfo | None) -> RecordedAt:
    """Return when a recording was made.

    zone: of the recording's place, as the user named it. It places clocks without a zone, and the local time is in it.
    Without it, the local time is the recorder's.

    >>> from zoneinfo import ZoneInfo
    >>> clock = Clock(datetime(2023, 5, 21, 4, 30), None, "Song Meter name", is_header=False)
    >>> found = recorded_at(clock, ZoneInfo("Europe/Berlin"))
    >>> str(found.utc), str(found.local), found.zone, found.source
    ('2023-05-21 02:30:00+00:00', '2023-05-21 04:30:00+02:00', 'option', 'Song Meter name')
    >>> recorded_at(clock, None).doubt.value
    'no zone'
    """
    time = clock.time
    if time.year <= 1970:
        return RecordedAt(None, None, "", clock.source, TimeDoubt.CLOCK_UNSET)
    if clock.offset is not None:
        written = time.replace(tzinfo=timezone(clock.offset))
        local = written if zone is None else written.astimezone(zone)
        return RecordedAt(written.astimezone(UTC), local, "header" if clock.is_header else "name", clock.source)
    if zone is None:
        return RecordedAt(None, time, "", clock.source, TimeDoubt.NO_ZONE)
    first = time.replace(tzinfo=zone)
    utc = first.astimezone(UTC)
    doubt = _doubt(first, utc)
    local = first if doubt == TimeDoubt.NONE else utc.astimezone(zone)
    return RecordedAt(utc, local, "option", clock.source, doubt)


def _doubt(first: datetime, utc: datetime) -> TimeDoubt:
    """Compare a local time with its UTC. Sets of rules (zoneinfo) say by `fold` which of two equal times is meant."""
    if first.utcoffset() == first.replace(fold=1).utcoffset():
        return TimeDoubt.NONE
    is_real = utc.astimezone(first.tzinfo).replace(tzinfo=None) == first.replace(tzinfo=None)
    return TimeDoubt.TWICE if is_real else TimeDoubt.SKIPPED


def time_warnings(counts: Mapping[TimeDoubt, int]) -> list[str]:
    """Return a sentence for each doubt that recordings have.

    counts: of recordings.

    >>> time_warnings({TimeDoubt.NONE: 7, TimeDoubt.NO_ZONE: 1200})
    ['1,200 recordings: local time without a zone, so UTC is unknown; name the zone: --timezone Europe/Berlin']
    """
    return [f"{counted(n, 'recording')}: {text}" for doubt, text in _WARNINGS.items() if (n := counts.get(doubt, 0))]


def later(time: datetime, seconds: float) -> datetime:
    """Return the time that many seconds later, in the same zone; correct across the days on which clocks change.

    >>> from zoneinfo import ZoneInfo
    >>> str(later(datetime(2023, 3, 26, 1, 59, 30, tzinfo=ZoneInfo("Europe/Berlin")), 60))
    '2023-03-26 03:00:30+02:00'
    """
    added = timedelta(seconds=seconds)
    return time + added if time.tzinfo is None else (time.astimezone(UTC) + added).astimezone(time.tzinfo)


def zone_of(text: str) -> tzinfo:
    """Parse the name of a zone: of the IANA database, UTC, Z, +HH:MM or UTC+HH:MM.

    >>> zone_of("Europe/Berlin"), zone_of("+01:00"), zone_of("UTC")
    (zoneinfo.ZoneInfo(key='Europe/Berlin'), datetime.timezone(datetime.timedelta(seconds=3600)), datetime.timezone.utc)

    Raises: UsageError if there is no such zone.
    """
    text = text.strip()
    plain = text.upper().removeprefix("UTC")
    offset = timedelta() if text and not plain else offset_of(plain)
    if offset is not None:
        return timezone(offset)
    try:
        if text.casefold() != "localtime":  # the zone of this machine says nothing about the recording
            return ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        pass
    raise UsageError(
        f"time zone {text!r:.60} is unknown; use a name such as Europe/Berlin, or an offset such as +01:00"
    )
