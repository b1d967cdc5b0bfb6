"""Counts what was analysed and detected, by site and local day: `effort.csv` and `detection_history.csv`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from operator import itemgetter
from typing import IO, Any

EFFORT_FILE, HISTORY_FILE = "effort.csv", "detection_history.csv"
_LONGEST_SHIFT = timedelta(hours=3)
"""Of clocks within a day."""
EFFORT_HEADER = ("site", "date", "recordings", "seconds_analysed", "seconds_unusable")


@dataclass(frozen=True)
class RecordingEffort:
    """What is known of a recording when its work has ended.

    start: local time, with a zone if it is known; None without a time.
    unusable: begins and ends in s of the stretches that could not be analysed, which do not overlap.
    dates_by_class: for each class with detections, the local dates on which they start.
    """

    site: str
    start: datetime | None
    duration_s: float
    unusable: Sequence[tuple[float, float]] = ()
    dates_by_class: Mapping[str, Iterable[date]] = field(default_factory=dict)


@dataclass(slots=True)
class _Cell:
    """Sums of a site and day. Milliseconds, so that the order of recordings does not change the sums.

    detected: bit n is set if class n was detected.
    """

    n_recordings: int = 0
    analysed_ms: int = 0
    unusable_ms: int = 0
    detected: int = 0


class Effort:
    """Sums over recordings, in memory for each pair of site and day, whatever the number of recordings.

    classes: the columns of the history, in this order.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._bits = {label: 1 << n for n, label in enumerate(self.classes)}
        self._cells: dict[tuple[str, date | None], _Cell] = {}

    def add(self, recording: RecordingEffort) -> None:
        """Add a recording. One that crosses midnight is divided: it counts for the day on which it starts.

        Raises: KeyError for a detection of a class that is not among `classes`.
        """
        begin_s = 0.0
        for number, (day, share_s) in enumerate(_shares(recording)):
            end_s = begin_s + share_s
            lost_ms = round(1000 * sum(max(0.0, min(e, end_s) - max(b, begin_s)) for b, e in recording.unusable))
            cell = self._cell(recording.site, day)
            cell.n_recordings += number == 0
            cell.analysed_ms += round(1000 * end_s) - round(1000 * begin_s) - lost_ms
            cell.unusable_ms += lost_ms
            begin_s = end_s
        for label, dates in recording.dates_by_class.items():
            bit = self._bits[label]
            for each in dates if recording.start is not None else ():
                self._cell(recording.site, each).detected |= bit

    def write_effort(self, file: IO[str]) -> None:
        """Write `effort.csv`, sorted by site and date. Open the file with `newline=""` in UTF-8."""
        writer, quoting = _writers(file)
        writer.writerow(EFFORT_HEADER)
        for (site, day), cell in self._sorted():
            row = (site, day, cell.n_recordings, _seconds(cell.analysed_ms), _seconds(cell.unusable_ms))
            (quoting if "\r" in site else writer).writerow(row)

    def write_history(self, file: IO[str]) -> None:
        """Write `detection_history.csv`: 1 detected, 0 analysed without a detection, empty where not analysed.

        Rows are sorted by site and date; recordings without a time are left out. Open the file as for `write_effort`.
        """
        writer, quoting = _writers(file)
        writer.writerow(("site", "date", *self.classes))
        for (site, day), cell in self._sorted():
            if day:
                absent = "0" if cell.analysed_ms else ""
                row = (site, day, *("1" if cell.detected & bit else absent for bit in self._bits.values()))
                (quoting if "\r" in site else writer).writerow(row)

    def _cell(self, site: str, day: date | None) -> _Cell:
        cell = self._cells.get((site, day))
        if cell is None:
            cell = self._cells[site, day] = _Cell()
        return cell

    def _sorted(self) -> list[tuple[tuple[str, str], _Cell]]:
        """The sums by site and ISO date, "" without one."""
        dated = [((site, day.isoformat() if day else ""), cell) for (site, day), cell in self._cells.items()]
        return sorted(dated, key=itemgetter(0))


def _writers(file: IO[str]) -> tuple[Any, Any]:
    """A writer of rows, and one that quotes each field: Python before 3.13 does not quote a lone carriage return."""
    return csv.writer(file, lineterminator="\n"), csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)


def _shares(recording: RecordingEffort) -> list[tuple[date | None, float]]:
    """Return the local dates of a recording, None without a time, and its seconds on each."""
    if recording.start is None:
        return [(None, recording.duration_s)]
    latest = recording.start.replace(tzinfo=None) + timedelta(seconds=recording.duration_s) + _LONGEST_SHIFT
    if latest.date() == recording.start.date():  # of most recordings: spares a dozen looks into the zone's rules
        return [(latest.date(), recording.duration_s)]
    return list(_days(recording.start, recording.duration_s))


def _days(start: datetime, duration_s: float) -> Iterator[tuple[date, float]]:
    """Yield the local days of a recording, and how many seconds of it are on each; the first day also with none."""
    day, left_s = start.date(), duration_s
    until_s = _seconds_between(start, _midnight(start, day + timedelta(days=1)))
    while left_s > until_s:
        yield day, until_s
        left_s -= until_s
        day += timedelta(days=1)
        # 23 or 25 hours on days on which clocks change.
        until_s = _seconds_between(_midnight(start, day), _midnight(start, day + timedelta(days=1)))
    yield day, left_s


def _midnight(start: datetime, day: date) -> datetime:
    return datetime.combine(day, clock_time(), start.tzinfo)


def _seconds_between(begin: datetime, end: datetime) -> float:
    if begin.tzinfo is None:
        return (end - begin).total_seconds()
    return (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds()


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
