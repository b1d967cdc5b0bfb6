"""The manifest: finds size, digest and length of each row's file, and counts the dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

from domain.digests import pieces_digest
from domain.errors import MachineFault, Unusable
from domain.plural import counted
from domain.reasons import Reason, ReasonCode
from domain.work import KnownFile
from tasks.audio.containers.opened import HeaderFacts
from tasks.audio.source import Place, Remote, pieces
from tasks.dataset.bucket import Bucket, Stamp
from tasks.dataset.file_faults import fault_of
from tasks.dataset.layouts.layout import Row, UnusableRow
from tasks.dataset.shards.metadata import UNKNOWN

_KNOWN_AT_ONCE = 1000

# Files per task of the thread pool. Starting a task takes longer than the check of a known file.
_FILES_A_TASK = 16


_UNREAD = KnownFile(0, 0, "", 0, 0)


class FoundRecording(NamedTuple):
    """A row with the facts of its file.

    digest: SHA-256 in hex.  n_frames, rate_hz: 0 if the audio is unusable.  reason: why it is, if its header says so.
    is_on_trust: the file was not read in this plan. The facts are those of an earlier plan; without one, digest is ""
    and the numbers are 0.
    """

    row: Row
    size_bytes: int
    mtime_ns: int
    digest: str
    n_frames: int
    rate_hz: int
    is_on_trust: bool = False
    reason: Reason | None = None


Entry: TypeAlias = FoundRecording | UnusableRow
"""What the manifest finds for a row."""
Lookup = Callable[[list[str]], dict[str, KnownFile]]
Probe = Callable[[list[Path | Remote]], Sequence[HeaderFacts | Exception]]
"""Returns, for each recording, the facts of its header, or the error that reading it raised."""


def recordings(
    rows: Iterable[Row | UnusableRow], root: Path | Bucket, known: Lookup, probe: Probe, n_threads: int
) -> Iterator[Entry]:
    """Yield each row's recording in the order of the rows. Bad rows are yielded unchanged.

    known: returns the facts from earlier plans by URI; called in this thread, once per thousand rows. A file with the
    same size and modification time is not opened again, unless its length is not known: its decoder may be installed by
    now, and the plan gives its reason.
    probe: reads headers.  n_threads: threads that hash and probe the other files, >= 1.
    A file that cannot be read becomes a bad row. A file with unusable audio becomes a recording without a length; the
    worker then reports the reason. Memory does not grow with the number of rows.
    Raises: MachineFault if a file cannot be read because of a fault of the machine.
    """
    from joblib import Parallel, delayed  # noqa: PLC0415 - a tenth of a second that a plan's importers need not pay

    rows = iter(rows)
    with Parallel(n_jobs=n_threads, backend="threading", batch_size=1) as threads:
        while batch := list(islice(rows, _KNOWN_AT_ONCE)):
            uris = [row.uri for row in batch if isinstance(row, Row)]
            found = known(uris) if uris else {}
            tasks = (batch[at : at + _FILES_A_TASK] for at in range(0, len(batch), _FILES_A_TASK))
            for entries in threads(delayed(_recordings)(task, root, found, probe) for task in tasks):
                yield from entries


def trusted(rows: Iterable[Row | UnusableRow], known: Lookup) -> Iterator[Entry]:
    """Yield each row's recording with the facts from earlier plans, without opening files. Bad rows stay unchanged."""
    rows = iter(rows)
    while batch := list(islice(rows, _KNOWN_AT_ONCE)):
        found = known([row.uri for row in batch if isinstance(row, Row)])
        yield from (row if isinstance(row, UnusableRow) else _on_trust(row, found.get(row.uri)) for row in batch)


def _on_trust(row: Row, known: KnownFile | None) -> FoundRecording:
    file = known or _UNREAD
    facts = (file.size_bytes, file.mtime_ns, file.digest, file.n_frames, file.rate_hz)
    return FoundRecording(row, *facts, is_on_trust=True)


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A file with its digest; its header is not read yet."""

    row: Row
    path: Path
    stamp: Stamp
    digest: str


def _recordings(
    rows: list[Row | UnusableRow], root: Path | Bucket, known: dict[str, KnownFile], probe: Probe
) -> list[Entry]:
    read = [_read_row(row, root, known, probe) for row in rows]
    hashed = [entry for entry in read if isinstance(entry, _Hashed)]
    found = iter(probe([file.path for file in hashed]) if hashed else ())
    return [_measured(entry, root, next(found)) if isinstance(entry, _Hashed) else entry for entry in read]


def _read_row(
    row: Row | UnusableRow, root: Path | Bucket, known: dict[str, KnownFile], probe: Probe
) -> Entry | _Hashed:
    if isinstance(row, UnusableRow):
        return row
    try:
        if isinstance(root, Bucket):
            return _read_object(row, root, known.get(row.uri), probe)
        return _read_file(row, root / row.uri, known.get(row.uri))
    except OSError as error:
        return _unreadable_row(row, root, error)


def _unreadable_row(row: Row, root: Path | Bucket, error: OSError) -> UnusableRow:
    """Return the bad row if the file is at fault. Raises: MachineFault if the machine is."""
    fault: Exception | None = None
    if not isinstance(root, Bucket):
        fault = fault_of(error, str(root), row.uri)
    elif isinstance(error, ConnectionError):
        fault = MachineFault(f"{row.uri} cannot be read now: {error}")
    if isinstance(fault, MachineFault):
        raise MachineFault(f"{fault}; repeat the command later") from error
    code = fault.code if isinstance(fault, Unusable) else ReasonCode.CANNOT_BE_READ
    return UnusableRow(row.line, row.uri, code, str(error.strerror or error), row.label)


def _read_file(row: Row, path: Path, known: KnownFile | None) -> Entry | _Hashed:
    before = path.stat()
    stamp = Stamp(before.st_size, before.st_mtime_ns)
    if (found := _known_recording(row, stamp, known)) is not None:
        return found
    return _Hashed(row, path, stamp, file_digest(path))


def _measured(file: _Hashed, root: Path | Bucket, found: HeaderFacts | Exception) -> Entry:
    try:
        length = _length(found)
        after = file.path.stat()
    except OSError as error:
        return _unreadable_row(file.row, root, error)
    if (after.st_size, after.st_mtime_ns) != file.stamp:
        what_to_do = "plan again when nothing writes to it"
        return UnusableRow(file.row.line, file.row.uri, ReasonCode.CHANGED_WHILE_READ, what_to_do, file.row.label)
    return FoundRecording(file.row, *file.stamp, file.digest, *length, reason=_reason(found))


def _read_object(row: Row, root: Bucket, known: KnownFile | None, probe: Probe) -> Entry:
    """Do the same for an object. Its size and version need no second check, because reads name the version."""
    if (found := _known_recording(row, root.stamp(row.uri), known)) is not None:
        return found
    fetched = root.fetched(row.uri)
    digest = file_digest(fetched.place)
    [facts] = probe([fetched.place])  # one at a time, because the object's bytes are in memory
    return FoundRecording(row, *fetched.stamp, digest, *_length(facts), reason=_reason(facts))


def _known_recording(row: Row, stamp: Stamp, known: KnownFile | None) -> Entry | None:
    if stamp.size_bytes == 0:
        return UnusableRow(row.line, row.uri, ReasonCode.EMPTY, "0 bytes", row.label)
    if known is not None and known.rate_hz and (known.size_bytes, known.mtime_ns) == stamp:
        return FoundRecording(row, *stamp, known.digest, known.n_frames, known.rate_hz)
    return None


def file_digest(place: Place) -> str:
    """Return the SHA-256 of a recording's bytes in hex, read in blocks of 1 MiB.

    Raises: OSError if the recording cannot be read.
    """
    return pieces_digest(pieces(place))


def _length(found: HeaderFacts | Exception) -> tuple[int, int]:
    """Return frames and rate, or zeros for unusable audio. Any other error of the probe is raised."""
    if isinstance(found, Unusable):
        return 0, 0
    if isinstance(found, Exception):
        raise found
    return found.n_frames, found.rate_hz


def _reason(found: HeaderFacts | Exception) -> Reason | None:
    return Reason(found.code, str(found)) if isinstance(found, Unusable) else None


@dataclass
class Summary:
    """Counts of a manifest. Memory grows with the number of classes and named groups only."""

    n_recordings: int = 0
    n_unread: int = 0
    n_unmeasured: int = 0
    size_bytes: int = 0
    duration_s: float = 0.0
    classes: Counter[str] = field(default_factory=Counter)
    folds: Counter[int] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    bad: Counter[ReasonCode] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    unclear: Counter[str] = field(default_factory=Counter)
    unmeasured: Counter[tuple[ReasonCode, str]] = field(default_factory=Counter)
    """Recordings that are known to be unusable, by reason and ending."""
    _first_unmeasured: dict[tuple[ReasonCode, str], str] = field(default_factory=dict)
    _lost: dict[str, Counter[str]] = field(default_factory=dict)
    _n_lost: Counter[str] = field(default_factory=Counter)
    _first_unclear: dict[str, str] = field(default_factory=dict)
    _named_groups: set[str] = field(default_factory=set)
    _n_ungrouped: int = 0

    def add(self, entry: Entry) -> None:
        """Count one recording, or one bad row by its code."""
        if isinstance(entry, UnusableRow):
            self.bad[entry.code] += 1
            if entry.label:
                self._lost.setdefault(entry.label, Counter())[entry.code.words] += 1
            return
        self.n_recordings += 1
        self.size_bytes += entry.size_bytes
        if not entry.digest:
            self.n_unread += 1
        elif entry.rate_hz > 0:
            self.duration_s += entry.n_frames / entry.rate_hz
        else:
            self._count_unmeasured(entry)
        self._count(entry.row)

    def _count_unmeasured(self, entry: FoundRecording) -> None:
        self.n_unmeasured += 1
        self._n_lost[entry.row.label] += 1
        ending = entry.row.uri.rpartition("/")[2].rpartition(".")[2].lower()[:_LONGEST_ENDING]
        code = entry.reason.code if entry.reason else ReasonCode.UNKNOWN
        group = (code, ending if (code, ending) in self.unmeasured or len(self.unmeasured) < _MOST_REASONS else "other")
        self.unmeasured[group] += 1
        if entry.reason:
            self._first_unmeasured.setdefault(group, entry.reason.sentence)
        self._lost.setdefault(entry.row.label, Counter())[f"{ending}, {code.words}"] += 1

    def _count(self, row: Row) -> None:
        self.classes[row.label] += 1
        if row.fold is not None:
            self.folds[row.fold] += 1
        if row.split is not None:
            self.splits[row.split] += 1
        if row.metadata is not UNKNOWN or row.unclear:
            self._count_metadata(row)
        group = row.group or row.author
        if group is None:
            self._n_ungrouped += 1
        else:
            self._named_groups.add(group)

    def _count_metadata(self, row: Row) -> None:
        metadata = row.metadata
        self.known.update(
            name
            for name, value in (("place", metadata.latitude), ("month", metadata.month), ("hour", metadata.hour))
            if value is not None
        )
        for cell in row.unclear:
            meaning = cell.partition(" ")[0]
            self.unclear[meaning] += 1
            self._first_unclear.setdefault(meaning, f"{cell.partition(' ')[2]} in line {row.line}")

    def empty_classes(self) -> dict[str, Counter[str]]:
        """Return the classes without any usable recording, and why: the number of recordings by reason."""
        empty = [label for label, n in self._n_lost.items() if n >= self.classes[label]]
        rows = [label for label in self._lost if label not in self.classes]
        return {label: self._lost[label] for label in sorted([*empty, *rows])}

    def similar_classes(self) -> list[list[str]]:
        """Return groups of classes whose names differ only by case."""
        groups: dict[str, list[str]] = {}
        for label in sorted(self.classes):
            groups.setdefault(label.casefold(), []).append(label)
        return [labels for labels in groups.values() if len(labels) > 1]

    def _bad_by_words(self) -> dict[str, int]:
        return dict(sorted((code.words, n) for code, n in self.bad.items()))

    @property
    def n_groups(self) -> int:
        """Number of named groups and authors, plus the recordings without one. Exact copies are not joined yet."""
        return len(self._named_groups) + self._n_ungrouped

    def lines(self) -> list[str]:
        """Return the sentences that the user reads before a submission."""
        hours = self.duration_s / 3600
        lines = [
            f"{counted(self.n_recordings, 'recording')}, {self.size_bytes / 1e6:,.1f} MB, {hours:,.2f} h",
            *(self._class_lines() if set(self.classes) != {""} else ()),
        ]
        lines += [
            f"{' and '.join(labels)} differ only by case and are two classes" for labels in self.similar_classes()
        ]
        if self.folds:
            lines.append("folds: " + ", ".join(f"{fold}: {n:,}" for fold, n in sorted(self.folds.items())))
        if self.splits:
            lines.append("split: " + ", ".join(f"{split}: {n:,}" for split, n in sorted(self.splits.items())))
        if self.known:
            lines.append("known: " + ", ".join(f"{name} of {n:,}" for name, n in sorted(self.known.items())))
        for meaning, n in sorted(self.unclear.items()):
            first = self._first_unclear[meaning]
            cells = counted(n, f"{meaning} cell")
            lines.append(f"{cells} cannot be parsed, for example {first}; the {meaning} counts as unknown")
        if self.n_unread:
            lines.append(
                f"{counted(self.n_unread, 'recording')} not read (--trust-csv); workers find their digests and lengths"
            )
        if self.n_unmeasured:
            lines.append(f"{counted(self.n_unmeasured, 'recording')} cannot be used, so far as the headers say:")
            lines += [f"  {n:,} x {_why(group, self._first_unmeasured)}" for group, n in self.unmeasured.most_common()]
        lines += [f"{counted(n, 'row')} not used: {words}" for words, n in self._bad_by_words().items()]
        return lines

    def _class_lines(self) -> list[str]:
        return [
            f"{counted(len(self.classes), 'class', 'classes')}{_extremes(self.classes)}",
            *([f"classes: {_each(self.classes)}"] if self.classes else []),
            counted(self.n_groups, "group"),
        ]

    def as_dict(self) -> dict[str, object]:
        """Return the counts for `--json`, with sorted keys; the duration is rounded to milliseconds."""
        first = self._first_unmeasured
        return {
            "recordings": self.n_recordings,
            "unread": self.n_unread,
            "unmeasured": self.n_unmeasured,
            "unmeasured_by_reason": [
                {"reason_code": code.value, "ending": ending, "recordings": n, "example": first.get((code, ending))}
                for (code, ending), n in self.unmeasured.most_common()
            ],
            "bytes": self.size_bytes,
            "duration_s": round(self.duration_s, 3),
            "groups": self.n_groups,
            "classes": dict(sorted(self.classes.items())),
            "classes_differing_by_case": self.similar_classes(),
            "folds": {str(fold): n for fold, n in sorted(self.folds.items())},
            "splits": dict(sorted(self.splits.items())),
            "bad_rows": self._bad_by_words(),
            "known": dict(sorted(self.known.items())),
            "unclear_cells": dict(sorted(self.unclear.items())),
        }


_LONGEST_ENDING = 12
_MOST_REASONS = 50


def _why(group: tuple[ReasonCode, str], first: dict[tuple[ReasonCode, str], str]) -> str:
    code, ending = group
    sentence = first.get(group, "a worker will report the reason")
    return f"{ending}, {code.words}: {sentence}"


def _each(classes: Counter[str]) -> str:
    return ", ".join(f"{label} ({n:,})" for label, n in sorted(classes.items()))


def _extremes(classes: Counter[str]) -> str:
    if not classes:
        return ""
    (most, most_n), (least, least_n) = max(classes.items(), key=_by_count), min(classes.items(), key=_by_count)
    return f", from {least} ({least_n:,}) to {most} ({most_n:,})"


def _by_count(pair: tuple[str, int]) -> tuple[int, str]:
    return pair[1], pair[0]
