"""Reads the clock of a recorder from a recording's name or header, as it was written, with its zone if it is written.

docs/reference/recording-times.md lists the recorders and the order in which their texts are used.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tasks.audio.containers.header_texts import HeaderTexts

_YEARS = range(1969, 2100)  # an unset clock west of Greenwich is still in 1969
_MINUTES_OF_ZONES = range(-14 * 60, 14 * 60 + 1)

_DAY = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
_ISO_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_ISO_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"

_NAMES = tuple(
    (source, re.compile(pattern, re.ASCII | re.DOTALL))
    for source, pattern in (
        ("BAR name", rf"{_DAY}T{_TIME}(?P<zone>Z|[+-]\d{{4}})(?:_.*)?"),
        ("Swift name", rf"(?:.*_)?{_DAY}_{_TIME}_?(?P<zone>Z|[+-]\d{{4}})"),
        ("OwlSense name", rf"(?:.*_)?{_ISO_DAY}_T(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)"),
        ("AudioMoth name", rf"[0-9A-F]{{16}}_{_DAY}_{_TIME}T?"),
        ("Song Meter name", rf".+_{_DAY}[_$]{_TIME}"),
        ("name", rf"{_DAY}_{_TIME}T?"),  # AudioMoth, or Song Meter without a prefix; T: recorded by a trigger
    )
)
_AUDIOMOTH = re.compile(
    rf"Recorded at {_ISO_TIME} (?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{{4}})"
    r"(?: \(UTC(?P<zone>[^)]{0,9})\))? (?:by|during) ",
    re.ASCII,
)
_GUANO = re.compile(rf"{_ISO_DAY}[T ]{_ISO_TIME}\s*(?P<zone>Z|[+-][\d: ]{{1,6}})?", re.ASCII)
_LONGEST_STAMP = 100
_SEPARATOR = "[-_: .]"
_BEXT = re.compile(
    _SEPARATOR.join((r"(?P<year>\d{4})", r"(?P<month>\d\d)", r"(?P<day>\d\d) (?P<hour>\d\d)", r"(?P<minute>\d\d)",
                     r"(?P<second>\d\d)")), re.ASCII
)  # fmt: skip
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>[ \d]\d))?", re.ASCII)

# Old firmware of AudioMoth named files by the seconds since 1970. Digits alone are more often a catalogue number.
_SECONDS = re.compile(r"(?=.*[A-F])[0-9A-F]{8}", re.ASCII)
_SECONDS_UNSET = range(365 * 86_400)
_SECONDS_OF_AUDIOMOTHS = range(0x5800_0000, 0x7FFF_FFFF)  # from October 2016 on


class Clock(NamedTuple):
    """What a recorder's clock said at the start of a recording.

    time: without a zone.  offset: of the zone from UTC; None if it is not written.  source: the text it is from.
    is_header: whether that text is in the file, not its name.
    """

    time: datetime
    offset: timedelta | None
    source: str
    is_header: bool


def clock_of(name: str, header: HeaderTexts) -> Clock | None:
    """Return the clock in a recording's name and header: the first with a zone, else the first; None if there is none.

    The order is AudioMoth's comment, GUANO, the name, Broadcast Wave. The last may be the time of an export.

    >>> clock_of("20230521_043000.WAV", HeaderTexts("Recorded at 04:30:00 21/05/2023 (UTC) by AudioMoth 24E1")).offset
    datetime.timedelta(0)
    >>> clock_of("SMM01_20230521_043000.wav", HeaderTexts())[1:3]
    (None, 'Song Meter name')
    """
    first: Clock | None = None
    for read, text in ((_audiomoth, header.comment), (_guano, header.guano), (_named, name), (_bext, header.bext)):
        clock = read(text)
        if clock is not None and clock.offset is not None:
            return clock
        first = first or clock
    return first


def clock_texts(header: HeaderTexts) -> HeaderTexts:
    """Return the parts of a header that `clock_of` reads: at most 100 characters of each text, "" if it has no clock.

    >>> clock_texts(HeaderTexts("Recorded at 04:30:00 21/05/2023 (UTC) by AudioMoth 24E1", "Timestamp: never"))
    HeaderTexts(comment='Recorded at 04:30:00 21/05/2023 (UTC) by ', guano='', bext='')
    """
    comment = _AUDIOMOTH.match(header.comment)
    stamp = guano_fields(header.guano).get("Timestamp", "")
    is_stamp = len(stamp) <= _LONGEST_STAMP and _GUANO.fullmatch(stamp) is not None
    return HeaderTexts(
        comment=comment.group() if comment else "",
        guano=f"Timestamp: {stamp}" if is_stamp else "",
        bext=header.bext if _BEXT.fullmatch(header.bext) else "",
    )


def offset_of(text: str) -> timedelta | None:
    """Parse the offset of a zone from UTC: Z, +H, +HH, +HHMM or +HH:MM; None for other text or more than 14 hours.

    >>> offset_of("+5:30"), offset_of("-0030"), offset_of("Z"), offset_of("+15")
    (datetime.timedelta(seconds=19800), datetime.timedelta(days=-1, seconds=84600), datetime.timedelta(0), None)
    """
    if text == "Z":
        return timedelta()
    match = _OFFSET.fullmatch(text)
    if match is None or int(match["minutes"] or 0) > 59:
        return None
    minutes = int(match["sign"] + "1") * (60 * int(match["hours"]) + int(match["minutes"] or 0))
    return timedelta(minutes=minutes) if minutes in _MINUTES_OF_ZONES else None


def guano_fields(text: str) -> dict[str, str]:
    """Return the fields of a GUANO text. The first of two equal names wins.

    >>> guano_fields("GUANO|Version: 1.0\\nLoc Position: 52.5 13.4")
    {'GUANO|Version': '1.0', 'Loc Position': '52.5 13.4'}
    """
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon and value.strip():
            fields.setdefault(name.strip(), value.strip())
    return fields


def guano_position(header: HeaderTexts) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees (WGS 84) of a GUANO text; None if it has no valid position.

    >>> guano_position(HeaderTexts(guano="Loc Position: 52.5 13.4"))
    (52.5, 13.4)
    """
    parts = guano_fields(header.guano).get("Loc Position", "").replace(",", " ").split()
    try:
        latitude, longitude = map(float, parts)
    except ValueError:
        return None
    is_valid = abs(latitude) <= 90 and abs(longitude) <= 180 and (latitude, longitude) != (0.0, 0.0)
    return (latitude, longitude) if is_valid else None


def _audiomoth(comment: str) -> Clock | None:
    match = _AUDIOMOTH.match(comment)
    if match is None:
        return None
    zone = match["zone"]  # None: the oldest firmware wrote UTC without saying so
    return _clock(match, "AudioMoth comment", offset_of(zone) if zone else timedelta())


def _guano(text: str) -> Clock | None:
    match = _GUANO.fullmatch(guano_fields(text).get("Timestamp", "")) if text else None
    return None if match is None else _clock(match, "GUANO", offset_of(match["zone"] or ""))


def _bext(text: str) -> Clock | None:
    match = _BEXT.fullmatch(text)
    return None if match is None else _clock(match, "Broadcast Wave", None)


def _named(name: str) -> Clock | None:
    stem = name.rpartition("/")[2]
    stem = stem.rpartition(".")[0] or stem
    if _SECONDS.fullmatch(stem):
        seconds = int(stem, 16)
        if seconds in _SECONDS_UNSET or seconds in _SECONDS_OF_AUDIOMOTHS:
            time = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
            return Clock(time, timedelta(), "AudioMoth hexadecimal name", is_header=False)
        return None
    for source, pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if match is not None:
            zone = match.groupdict().get("zone")
            return _clock(match, source, offset_of(zone) if zone else None, is_header=False)
    return None


def _clock(match: re.Match[str], source: str, offset: timedelta | None, *, is_header: bool = True) -> Clock | None:
    """Return the clock of a match; None if its date or its time does not exist, such as 29 February 2023 or 24:00."""
    groups = match.groupdict()
    parts = (int(groups[part] or 0) for part in ("year", "month", "day", "hour", "minute", "second"))
    year, month, day, hour, minute, second = parts
    microsecond = int((groups.get("fraction") or "0")[:6].ljust(6, "0"))
    try:
        time = datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001 - the zone has its own field
    except ValueError:
        return None
    return Clock(time, offset, source, is_header) if time.year in _YEARS else None
