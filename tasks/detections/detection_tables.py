"""Scores in, tables out: the folder of a prediction's detections."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import IO, NamedTuple

from domain.errors import UsageError
from domain.plural import counted
from tasks.dataset.layouts.layout import NON_EVENTS, is_non_event
from tasks.dataset.recorders.recorded_at import time_warnings
from tasks.dataset.recorders.sites import Sites
from tasks.detections.class_tables import SpeciesNames
from tasks.detections.detection import Detection, DetectionRules, detections_of_each, event_thresholds
from tasks.detections.detection_effort import DetectionEffort
from tasks.detections.effort import EFFORT_FILE, HISTORY_FILE
from tasks.detections.file_names import FileNames
from tasks.detections.formats import FORMATS, Wording, unbroken, wording_of
from tasks.detections.open_tables import open_table
from tasks.detections.origin import Origin, Origins
from tasks.detections.publication import METADATA_FILE, PER_RECORDING, publishing
from tasks.detections.score_file import ScoredRecording, ScoreFacts

NO_NEGATIVE_CLASS = (
    "The model has no class for sound without an event, so it must name one of its classes for rain or wind. "
    f"Train it with recordings of such sound under one of the labels {', '.join(sorted(NON_EVENTS))}."
)


def warnings_of(labels: Sequence[str]) -> tuple[str, ...]:
    """What to know before the detections of a model with these classes are used."""
    return () if any(map(is_non_event, labels)) else (NO_NEGATIVE_CLASS,)


class ThresholdSource(StrEnum):
    """Where a threshold comes from."""

    VALIDATION = "validation"
    DEFAULT = "default"
    OPTION = "--threshold"
    TABLE = "--thresholds"


class Threshold(NamedTuple):
    """The lowest score of a class's detections, 0..1. why: a few words, such as "precision 0.95 on validation"."""

    value: float
    why: str
    source: ThresholdSource = ThresholdSource.DEFAULT


@dataclass(frozen=True)
class TableOptions:
    """What the user asks of the tables.

    scores_digest: SHA-256 of the scores file.  thresholds: one for each label, in their order.
    top_n, merge_gap_s: as in `DetectionRules`.  per_recording: also write a table for each recording.
    names: of classes, by label.  warnings: further sentences for metadata.json.
    zone: of recordings whose zone is not written; None: it stays unknown.  sites: of recordings.  sites_file: name of
    the table they are from, "" without one.

    Raises: UsageError for an unknown format, and for numbers out of range.
    """

    scores_digest: str
    thresholds: Sequence[Threshold]
    formats: Sequence[str] = ("csv",)
    top_n: int | None = None
    merge_gap_s: float | None = None
    per_recording: bool = False
    names: Mapping[str, SpeciesNames] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    zone: tzinfo | None = None
    sites: Sites = field(default_factory=Sites)
    sites_file: str = ""

    def __post_init__(self) -> None:
        if unknown := next((name for name in self.formats if name not in FORMATS), None):
            raise UsageError(f"the format {unknown!r:.60} is unknown; choose from {', '.join(FORMATS)}")
        if not self.formats or len(set(self.formats)) < len(self.formats):
            raise UsageError(f"the formats are {', '.join(self.formats) or 'none'}; name each once")
        if self.top_n is not None and self.top_n < 1:
            raise UsageError(f"at most {self.top_n} classes per window make no detections; use 1 or more")
        if self.merge_gap_s is not None and not 0 <= self.merge_gap_s < math.inf:
            raise UsageError(f"the merge gap is {self.merge_gap_s} s; use 0 or more")
        if wrong := next((each for each in self.thresholds if not 0 <= each.value <= 1), None):
            raise UsageError(f"a threshold is {wrong.value}; use a number from 0 to 1")


@dataclass
class TablesWritten:
    """Counts of a folder of tables. n_out_of_sequence: quarantined recordings of unknown duration.

    by_label: number of detections.  by_time_source, by_zone: number of recordings, as in `Origins`.
    time_warnings: sentences on recordings whose time is unknown or uncertain.
    """

    n_recordings: int = 0
    n_windows: int = 0
    n_detections: int = 0
    n_quarantined: int = 0
    n_out_of_sequence: int = 0
    by_label: dict[str, int] = field(default_factory=dict)
    by_time_source: dict[str, int] = field(default_factory=dict)
    by_zone: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    time_warnings: tuple[str, ...] = ()


def write_tables(
    folder: Path, facts: ScoreFacts, recordings: Iterable[ScoredRecording], options: TableOptions
) -> TablesWritten:
    """Write the detections of a run in all formats, and the tables beside them.

    These are thresholds.csv, quarantine.csv, effort.csv, detection_history.csv and metadata.json.

    Nothing has its final name before all is written. Tables of the same run are replaced; other files in the folder
    stay. Memory grows with the number of sites and days, not of recordings. Equal input gives equal bytes.
    Raises: FolderInUse if the folder holds tables of another run, or files with the names of tables; UsageError if
    there is not one threshold for each label; OSError; and what `recordings` raises.
    """
    if len(options.thresholds) != len(facts.labels):
        raise UsageError(f"{len(options.thresholds)} thresholds for {len(facts.labels)} classes; give one for each")
    with publishing(folder, facts.run, facts.run_digest) as scratch:
        written = _write(scratch, facts, recordings, options)
        metadata = json.dumps(_metadata(facts, options, written), indent=2, ensure_ascii=False)
        (scratch / METADATA_FILE).write_text(f"{metadata}\n", "utf-8")
    return written


def rules_of(facts: ScoreFacts, options: TableOptions) -> DetectionRules:
    """Return when the scores of a file become detections."""
    return DetectionRules(
        window_s=facts.window_s,
        thresholds=event_thresholds(facts.labels, [each.value for each in options.thresholds]),
        top_n=options.top_n,
        merge_gap_s=options.merge_gap_s,
    )


def _write(
    folder: Path, facts: ScoreFacts, recordings: Iterable[ScoredRecording], options: TableOptions
) -> TablesWritten:
    rules = rules_of(facts, options)
    _write_thresholds(folder, facts, options)
    with ExitStack() as stack:
        tables = _Tables(folder, wording_of(facts, options.names), options, stack)
        efforts = DetectionEffort(facts.labels, rules)
        origins = Origins(options.zone, options.sites)
        for recording, detections in detections_of_each(recordings, rules):
            origin = origins.of(recording)
            tables.add(recording, detections, origin)
            efforts.add(recording, detections, origin)
    with _text(folder / EFFORT_FILE) as file:
        efforts.sums.write_effort(file)
    with _text(folder / HISTORY_FILE) as file:
        efforts.sums.write_history(file)
    written = tables.written
    written.by_time_source, written.by_zone = (
        dict(sorted(origins.by_source.items())),
        dict(sorted(origins.by_zone.items())),
    )
    written.time_warnings = tuple(time_warnings(origins.by_doubt))
    written.by_label = {label: tables.n_by_class[number] for number, label in enumerate(facts.labels)}
    written.warnings = (*warnings_of(facts.labels), *options.warnings, *_site_warnings(options, origins))
    return written


def _site_warnings(options: TableOptions, origins: Origins) -> tuple[str, ...]:
    if not options.sites_file or not origins.n_unlisted:
        return ()
    unlisted = counted(origins.n_unlisted, "recording")
    return (f"{unlisted} without a row in {options.sites_file}: the site is the name of the folder.",)


class _Tables:
    """All tables of a run, open until the stack is closed."""

    def __init__(self, folder: Path, wording: Wording, options: TableOptions, stack: ExitStack) -> None:
        self._folder, self._wording, self._options = folder, wording, options
        self._combined = [stack.enter_context(closing(open_table(folder, each, wording))) for each in options.formats]
        self._quarantine = csv.writer(stack.enter_context(_text(folder / "quarantine.csv")), lineterminator="\n")
        self._quarantine.writerow(("recording", "reason", "duration_s"))
        self._names = FileNames()
        self._clock_s = 0.0
        self.n_by_class: Counter[int] = Counter()
        self.written = TablesWritten()

    def add(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin) -> None:
        """Append one recording to all tables; advance the clock."""
        if detections:
            self.n_by_class.update([each.label for each in detections])
            for table in self._combined:
                table.add(recording, detections, origin, self._clock_s)
        if self._options.per_recording and (len(recording.starts_s) or not recording.is_quarantined):
            self._add_own_tables(recording, detections, origin)
        if recording.is_quarantined:
            self._add_to_quarantine(recording)
        self._clock_s += 0.0 if math.isnan(recording.duration_s) else recording.duration_s
        self.written.n_recordings += 1
        self.written.n_windows += len(recording.starts_s)
        self.written.n_detections += len(detections)

    def _add_own_tables(self, recording: ScoredRecording, detections: Sequence[Detection], origin: Origin) -> None:
        name = self._names.name_of(recording.uri)
        for format_ in self._options.formats:
            folder = self._folder / PER_RECORDING / format_
            with closing(open_table(folder, format_, self._wording, name)) as table:
                table.add(recording, detections, origin, 0.0)

    def _add_to_quarantine(self, recording: ScoredRecording) -> None:
        is_unknown = math.isnan(recording.duration_s)
        duration = "" if is_unknown else recording.duration_s
        self._quarantine.writerow((recording.uri, unbroken(recording.reason or ""), duration))
        self.written.n_quarantined += 1
        self.written.n_out_of_sequence += is_unknown


def _text(path: Path) -> IO[str]:
    return path.open("x", encoding="utf-8", errors="backslashreplace", newline="")


def _write_thresholds(folder: Path, facts: ScoreFacts, options: TableOptions) -> None:
    with _text(folder / "thresholds.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("label", "threshold", "why"))
        for label, (value, why, _) in zip(facts.labels, options.thresholds, strict=True):
            writer.writerow((label, "", _NO_EVENT) if is_non_event(label) else (label, value, unbroken(why)))


def _metadata(facts: ScoreFacts, options: TableOptions, written: TablesWritten) -> dict[str, object]:
    """Return the content of metadata.json."""
    rules: dict[str, object] = {
        "thresholds": {
            label: None if is_non_event(label) else each.value
            for label, each in zip(facts.labels, options.thresholds, strict=True)
        },
        "threshold_reasons": {
            label: _NO_EVENT if is_non_event(label) else each.why
            for label, each in zip(facts.labels, options.thresholds, strict=True)
        },
        "classes_without_detections": [label for label in facts.labels if is_non_event(label)],
        "top_n": options.top_n,
        "merge_gap_s": options.merge_gap_s,
        "merge_rule": _merge_rule(options.merge_gap_s),
        "formats": [name for name in FORMATS if name in options.formats],
        "per_recording": options.per_recording,
        "sequence": _sequence(written.n_out_of_sequence),
        "timezone": None if options.zone is None else str(options.zone),
        "sites": options.sites_file or None,
    }
    counts = {key: value for key, value in asdict(written).items() if key not in ("warnings", "time_warnings")}
    scores = {**asdict(facts), "scores_digest": options.scores_digest}
    return {
        "is_complete": True,
        **scores,
        **rules,
        "counts": counts,
        "warnings": [*written.warnings, *written.time_warnings],
    }


_NO_EVENT = "names no event, makes no detections"


def _merge_rule(gap_s: float | None) -> str:
    if gap_s is None:
        return "No detections are merged: each window above the threshold is one detection."
    return (
        f"Detections of one class become one if at most {gap_s} s are between them: "
        "start of the first, end of the last, score = maximum."
    )


def _sequence(n_left_out: int) -> str:
    """How the combined tables of Raven and Audacity count time."""
    rule = (
        "Times in the combined tables of Raven and Audacity count from the start of the first recording. "
        "Every recording of the run, in its order, takes its whole duration, also without detections or in quarantine"
    )
    if not n_left_out:
        return f"{rule}."
    return (
        f"{rule}; {counted(n_left_out, 'quarantined recording')} of unknown duration, which quarantine.csv lists "
        "without a duration, must be left out of the sequence."
    )
