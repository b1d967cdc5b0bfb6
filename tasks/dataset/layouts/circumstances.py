"""What a csv's cells say of where and when a recording was made."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tasks.dataset.layouts.layout import NOBODY_KNOWS
from tasks.dataset.shards.metadata import UNKNOWN, Metadata

_NUMBER = re.compile(r"[+-]?\d{1,9}(?:[.,]\d*)?(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_YEAR_FIRST = re.compile(r"(?:0000|1[89]\d\d|20\d\d)([-/.]?)(\d{2})(?:\1(\d{2}))?(?:[T ]+(\S.*))?", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2\d{4}(?: +(\S.*))?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?::\d{2}(?:\.\d*)?)?(?:Z|[+-]\d{2}:?\d{2})? *([ap])?\.?(?:m\.?)?", re.ASCII)

Value = TypeVar("Value")


class MetadataColumns(NamedTuple):
    """Positions of the columns that say where and when; None where the csv has no such column."""

    latitude: int | None = None
    longitude: int | None = None
    date: int | None = None
    month: int | None = None
    time: int | None = None
    hour: int | None = None


class _Unclear(Exception):
    """A cell that says something, and nothing that can be understood."""


def metadata_of(fields: Sequence[str], at: MetadataColumns) -> tuple[Metadata, tuple[str, ...]]:
    """Where and when a row's recording was made, and what each cell that makes no sense means and says.

    >>> at = MetadataColumns(latitude=0, longitude=1, date=2)
    >>> metadata_of(["52.5", "13.4", "2021-05-30 06:15"], at)
    (Metadata(latitude=52.5, longitude=13.4, month=5, hour=6.25), ())
    >>> metadata_of(["999", "13.4", "n/a"], at)
    (Metadata(latitude=None, longitude=None, month=None, hour=None), ("latitude '999'",))
    """
    said = [_said(fields, position) for position in at]
    if not any(said):
        return UNKNOWN, ()
    unclear: list[str] = []

    def read(meaning: str, cell: str, parse: Callable[[str], Value]) -> Value | None:
        try:
            return parse(cell) if cell else None
        except _Unclear:
            unclear.append(f"{meaning} {cell!r:.40}")
            return None

    latitude, longitude, date, month, time, hour = said
    north = read("latitude", latitude, lambda cell: _within(cell, -90, 90))
    east = read("longitude", longitude, lambda cell: _within(cell, -180, 180))
    of_date, dated_hour = read("date", date, _month_and_hour) or (None, None)
    of_month = read("month", month, _month)
    hours = (read("time", time, _clock), read("hour", hour, _hour), dated_hour)
    # Nobody records where the equator meets Greenwich's meridian, but many tables write 0 for a place they lack.
    has_place = north is not None and east is not None and (north, east) != (0.0, 0.0)
    found = Metadata(
        north if has_place else None, east if has_place else None, of_month if of_date is None else of_date,
        next((known for known in hours if known is not None), None),
    )  # fmt: skip
    return found, tuple(unclear)


def _said(fields: Sequence[str], position: int | None) -> str:
    """The cell, "" where there is none or it says that nobody knows."""
    if position is None:
        return ""
    cell = fields[position].strip()
    return "" if cell.casefold() in NOBODY_KNOWS else cell


def _within(cell: str, low: float, high: float) -> float:
    if not _NUMBER.fullmatch(cell):
        raise _Unclear
    value = float(cell.replace(",", "."))
    if not low <= value <= high:
        raise _Unclear
    return value


def _month_and_hour(cell: str) -> tuple[int | None, float | None]:
    """The month of a date, and the hour where a time other than midnight follows; month 0 is one nobody knows."""
    match = _YEAR_FIRST.fullmatch(cell)
    if match is not None:
        month, day = int(match[2]), int(match[3] or 0)
    elif (match := _YEAR_LAST.fullmatch(cell)) is not None:
        day, month = _day_and_month(int(match[1]), match[2], int(match[3]))
    else:
        raise _Unclear
    if month > 12 or day > 31:
        raise _Unclear
    hour = _clock(rest) if (rest := match[4]) else None
    return month or None, hour or None


def _day_and_month(first: int, separator: str, second: int) -> tuple[int, int]:
    """With dots the day comes first; else nobody can tell, unless only one of the two can be a month."""
    if separator == "." or first > 12 or first == second:
        return first, second
    if second > 12:
        return second, first
    raise _Unclear


def _month(cell: str) -> int:
    month = _within(cell, 1, 12)
    if not month.is_integer():
        raise _Unclear
    return int(month)


def _clock(cell: str) -> float:
    """Hours since midnight of a time such as 6:05, 18h30, 06:05:59 or 6.05 pm."""
    match = _CLOCK.fullmatch(cell.casefold().replace("z", "Z"))
    if match is None:
        raise _Unclear
    hour, minute, half = int(match[1]), int(match[2]), match[3]
    if half:
        if not 1 <= hour <= 12:
            raise _Unclear
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 23 or minute > 59:
        raise _Unclear
    return hour + minute / 60


def _hour(cell: str) -> float:
    value = _within(cell, 0, 24)
    if value == 24:
        raise _Unclear
    return value
