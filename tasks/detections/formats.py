"""The formats of detections: headers and rows, as other programs read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tasks.detections.class_tables import SpeciesNames
from tasks.detections.detection import Detection
from tasks.detections.origin import UNKNOWN, Origin
from tasks.detections.score_file import ScoredRecording, ScoreFacts

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Tabs, line ends and other control characters: tables without quotes cannot hold them."""


class ClassNames(NamedTuple):
    """What tables say of one class, without tabs and line ends. shown: the common name, else the label."""

    label: str
    scientific_name: str
    common_name: str
    code: str
    shown: str


@dataclass(frozen=True)
class TablePlace:
    """Where the rows of a recording stand in a table, and where the recording is from.

    clock_s: sum of the durations of the recordings before.  n_before: number of detections before.
    """

    clock_s: float = 0.0
    n_before: int = 0
    origin: Origin = UNKNOWN


@dataclass(frozen=True)
class Wording:
    """What all rows of a run have in common. classes: by number of the label."""

    classes: Sequence[ClassNames]
    model: str
    low_hz: float
    high_hz: float


Rows = Callable[[Wording, ScoredRecording, Sequence[Detection], TablePlace], Iterable[tuple[Any, ...]]]


@dataclass(frozen=True)
class TextFormat:
    """A table of text. ending: after the recording's name.  header: empty if the format has none."""

    combined: str
    ending: str
    header: tuple[str, ...]
    rows: Rows
    is_tab_separated: bool = False


COLUMNS = (
    "recording", "start_s", "end_s", "label", "scientific_name", "common_name", "score", "recorded_at_utc", "site",
    "model", "recorded_at_local",
)  # fmt: skip
"""Of the formats csv and parquet."""
_RAVEN = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Common Name",
    "Species Code", "Confidence", "Begin Path", "File Offset (s)", "Scientific Name",
)  # fmt: skip
_KALEIDOSCOPE = ("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "TOP1MATCH", "MANUAL ID")
_BIRDNET = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")


def wording_of(facts: ScoreFacts, names: Mapping[str, SpeciesNames]) -> Wording:
    """Return the words of a run's tables. names: by label; classes without names keep their labels."""
    classes = []
    for label in facts.labels:
        scientific_name, common_name, code = map(unbroken, names.get(label, SpeciesNames()))
        classes.append(ClassNames(label, scientific_name, common_name, code, shown=common_name or unbroken(label)))
    return Wording(classes, facts.model, facts.low_hz, facts.high_hz)


def unbroken(text: str) -> str:
    r"""Return the text with one space for tabs, line ends and other control characters.

    >>> unbroken("a\tb\r\nc")
    'a b c'
    """
    return _BREAKS.sub(" ", text)


def utc_text(at: datetime | None) -> str:
    """Return a time as ISO 8601 in UTC; "" if it is unknown.

    >>> utc_text(datetime(2026, 5, 1, 4, 30, tzinfo=UTC))
    '2026-05-01T04:30:00Z'
    """
    return "" if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def local_text(at: datetime | None) -> str:
    """Return a local time as ISO 8601, with its offset if it is known; "" if the time is unknown.

    >>> local_text(datetime(2026, 5, 1, 4, 30)), local_text(datetime(2026, 5, 1, 4, 30, tzinfo=UTC))
    ('2026-05-01T04:30:00', '2026-05-01T04:30:00+00:00')
    """
    return "" if at is None else at.isoformat()


def csv_rows(
    wording: Wording, recording: ScoredRecording, detections: Sequence[Detection], place: TablePlace
) -> Iterable[tuple[Any, ...]]:
    """Return the rows of COLUMNS."""
    utc, local, site = utc_text(place.origin.utc), local_text(place.origin.local), place.origin.site
    for start_s, end_s, label, score in detections:
        name = wording.classes[label]
        yield (
            recording.uri, start_s, end_s, name.label, name.scientific_name, name.common_name, score, utc, site,
            wording.model, local,
        )  # fmt: skip


def _raven_rows(
    wording: Wording, recording: ScoredRecording, detections: Sequence[Detection], place: TablePlace
) -> Iterable[tuple[Any, ...]]:
    path, clock_s = unbroken(recording.path), place.clock_s
    for number, (start_s, end_s, label, score) in enumerate(detections, place.n_before + 1):
        name = wording.classes[label]
        yield (
            number, "Spectrogram 1", 1, clock_s + start_s, clock_s + end_s, wording.low_hz, wording.high_hz,
            name.shown, name.code, score, path, start_s, name.scientific_name,
        )  # fmt: skip


def _audacity_rows(
    wording: Wording, _recording: ScoredRecording, detections: Sequence[Detection], place: TablePlace
) -> Iterable[tuple[Any, ...]]:
    for start_s, end_s, label, _ in detections:
        yield f"{place.clock_s + start_s:.6f}", f"{place.clock_s + end_s:.6f}", wording.classes[label].shown


def _kaleidoscope_rows(
    wording: Wording, recording: ScoredRecording, detections: Sequence[Detection], _place: TablePlace
) -> Iterable[tuple[Any, ...]]:
    root = recording.path.removesuffix(recording.uri)
    if root == recording.path:  # the URI is no end of the path
        root = recording.path.rpartition("/")[0]
    folder, _, file = recording.uri.rpartition("/")
    for start_s, end_s, label, _ in detections:
        duration_s = round(end_s - start_s, 9)  # 12.4 - 7.4 is 5.0 here
        yield root.rstrip("/") or "/", folder, file, start_s, duration_s, wording.classes[label].shown, ""


def _birdnet_rows(
    wording: Wording, recording: ScoredRecording, detections: Sequence[Detection], _: TablePlace
) -> Iterable[tuple[Any, ...]]:
    for start_s, end_s, label, score in detections:
        name = wording.classes[label]
        yield start_s, end_s, name.scientific_name, name.shown, score, recording.path


TEXT_FORMATS: dict[str, TextFormat] = {
    "csv": TextFormat("detections.csv", ".csv", COLUMNS, csv_rows),
    "raven": TextFormat("detections.selections.txt", ".selections.txt", _RAVEN, _raven_rows, is_tab_separated=True),
    "audacity": TextFormat("detections.labels.txt", ".labels.txt", (), _audacity_rows, is_tab_separated=True),
    "kaleidoscope": TextFormat("kaleidoscope.csv", ".kaleidoscope.csv", _KALEIDOSCOPE, _kaleidoscope_rows),
    "birdnet": TextFormat("BirdNET_CombinedTable.csv", ".BirdNET.results.csv", _BIRDNET, _birdnet_rows),
}
FORMATS = ("csv", "raven", "audacity", "parquet", "kaleidoscope", "birdnet")
"""All formats, in the order of the command's help."""
