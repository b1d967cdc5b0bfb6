"""Parses the place, date and time of a recording from the cells of a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from tasks.dataset.layouts.layout import PLACEHOLDERS
from tasks.dataset.shards.metadata import UNKNOWN, Metadata

_NUMBER = re.compile(r"[+-]?\d{1,9}(?:[.,]\d*)?(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_YEAR_FIRST = re.compile(r"(?:0000|1[89]\d\d|20\d\d)([-/.]?)(\d{2})(?:\1(\d{2}))?(?:[T ]+(\S.*))?", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2\d{4}(?: +(\S.*))?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2})[:.h](\d{2})(?::\d{2}(?:\.\d*)?)?(?:Z|[+-]\d{2}:?\d{2})? *([ap])?\.?(?:m\.?)?", re.ASCII)

Value = TypeVar("Value")


class MetadataColumns(NamedTuple):
    """Column positions of place, date and time, from 0; None if the table has no such column."""

    latitude: int | None = None
    longitude: int | None = None
    date: int | None = None
    month: int | None = None
    time: int | None = None
    hour: int | None = None


class _Unclear(Exception):
    """A cell is not empty, and its text cannot be parsed."""


def metadata_of(fields: Sequence[str], at: MetadataColumns) -> tuple[Metadata, tuple[str, ...]]:
    """Parse place and time of a row's recording.

    fields: the row's cells.  at: which cells to parse.
    Returns the metadata, None for unknown values; and for each cell that cannot be parsed, its meaning and its text.

    >>> at = MetadataColumns(latitude=0, longitude=1, date=2)
    >>> metadata_of(["52.5", "13.4", "2021-05-30 06:15"], at)
    (Metadata(latitude=52.5, longitude=13.4, month=5, hour=6.25), ())
    >>> metadata_of(["999", "13.4", "n/a"], at)
    (Metadata(latitude=None, longitude=None, month=None, hour=None), ("latitude '999'",))
    """
    cells = [_cell(fields, position) for position in at]
    if not any(cells):
        return UNKNOWN, ()
    unclear: list[str] = []

    def read(meaning: str, cell: str, parse: Callable[[str], Value]) -> Value | None:
        try:
            return parse(cell) if cell else None
        except _Unclear:
            unclear.append(f"{meaning} {cell!r:.40}")
            return None

    latitude, longitude, date, month, time, hour = cells
    north = read("latitude", latitude, lambda cell: _within(cell, -90, 90))
    east = read("longitude", longitude, lambda cell: _within(cell, -180, 180))
    month_of_date, hour_of_date = read("date", date, _month_and_hour) or (None, None)
    month_of_column = read("month", month, _month)
    hours = (read("time", time, _clock), read("hour", hour, _hour), hour_of_date)
    # Many tables write 0, 0 for an unknown place. No recording is expected there: it is in the open ocean.
    has_place = north is not None and east is not None and (north, east) != (0.0, 0.0)
    metadata = Metadata(
        latitude=north if has_place else None,
        longitude=east if has_place else None,
        month=month_of_column if month_of_date is None else month_of_date,
        hour=next((known for known in hours if known is not None), None),
    )
    return metadata, tuple(unclear)


def _cell(fields: Sequence[str], position: int | None) -> str:
    """Return the cell's text; "" if the column is missing or the cell has a placeholder such as "unknown"."""
    if position is None:
        return ""
    cell = fields[position].strip()
    return "" if cell.casefold() in PLACEHOLDERS else cell


def _within(cell: str, low: float, high: float) -> float:
    if not _NUMBER.fullmatch(cell):
        raise _Unclear
    value = float(cell.replace(",", "."))
    if not low <= value <= high:
        raise _Unclear
    return value


def _month_and_hour(cell: str) -> tuple[int | None, float | None]:
    """Parse a date, with or without a time behind it; return its month and hour.

    Month 0 means unknown. The time 00:00 means unknown too: many programs write it behind every date.
    """
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
    """Return day and month of a date with two numbers before the year.

    With dots the day comes first. Otherwise the order is ambiguous, unless only one number can be a month.
    """
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
    """Return the hours since midnight, 0 to below 24, of a time such as 6:05, 18h30, 06:05:59 or 6.05 pm."""
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
