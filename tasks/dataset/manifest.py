"""The manifest: finds size, digest and length of each row's file, and counts the dataset."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

from domain.digests import pieces_digest
from domain.errors import MachineFault, Unusable
from domain.plural import counted
from domain.reasons import ReasonCode
from domain.work import KnownFile
from tasks.audio.source import Place, Remote, pieces
from tasks.dataset.bucket import Bucket, Stamp
from tasks.dataset.layouts.layout import BadRow, Row
from tasks.dataset.shards.metadata import UNKNOWN

_KNOWN_AT_ONCE = 1000

# Files per task of the thread pool. Starting a task takes longer than the check of a known file.
_FILES_A_TASK = 16

# Faults of the machine, not of the file: no memory, no file handles, or a network folder that is unavailable.
_MACHINE_ERRORS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}
)


class Facts(Protocol):
    """Facts about a file's audio from its header."""

    @property
    def n_frames(self) -> int:
        """Samples of each channel, >= 0."""

    @property
    def rate_hz(self) -> int:
        """Sampling rate, > 0."""


_UNREAD = KnownFile(0, 0, "", 0, 0)


class Recording(NamedTuple):
    """A row with the facts of its file.

    digest: SHA-256 in hex.  n_frames, rate_hz: 0 if the audio is unusable.
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


Lookup = Callable[[list[str]], dict[str, KnownFile]]
Probe = Callable[[list[Path | Remote]], Sequence[Facts | Exception]]
"""Returns, for each recording, the facts of its header, or the error that reading it raised."""


def recordings(
    rows: Iterable[Row | BadRow], root: Path | Bucket, known: Lookup, probe: Probe, n_threads: int
) -> Iterator[Recording | BadRow]:
    """Yield each row's recording in the order of the rows. Bad rows are yielded unchanged.

    known: returns the facts from earlier plans by URI; called in this thread, once per thousand rows. A file with the
    same size and modification time is not opened again.
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


def trusted(rows: Iterable[Row | BadRow], known: Lookup) -> Iterator[Recording | BadRow]:
    """Yield each row's recording with the facts from earlier plans, without opening files. Bad rows stay unchanged."""
    rows = iter(rows)
    while batch := list(islice(rows, _KNOWN_AT_ONCE)):
        found = known([row.uri for row in batch if isinstance(row, Row)])
        yield from (row if isinstance(row, BadRow) else _on_trust(row, found.get(row.uri)) for row in batch)


def _on_trust(row: Row, known: KnownFile | None) -> Recording:
    file = known or _UNREAD
    facts = (file.size_bytes, file.mtime_ns, file.digest, file.n_frames, file.rate_hz)
    return Recording(row, *facts, is_on_trust=True)


@dataclass(frozen=True, slots=True)
class _Hashed:
    """A file with its digest; its header is not read yet."""

    row: Row
    path: Path
    stamp: Stamp
    digest: str


def _recordings(
    rows: list[Row | BadRow], root: Path | Bucket, known: dict[str, KnownFile], probe: Probe
) -> list[Recording | BadRow]:
    read = [_read_row(row, root, known, probe) for row in rows]
    hashed = [entry for entry in read if isinstance(entry, _Hashed)]
    found = iter(probe([file.path for file in hashed]) if hashed else ())
    return [_measured(entry, next(found)) if isinstance(entry, _Hashed) else entry for entry in read]


def _read_row(
    row: Row | BadRow, root: Path | Bucket, known: dict[str, KnownFile], probe: Probe
) -> Recording | BadRow | _Hashed:
    if isinstance(row, BadRow):
        return row
    try:
        if isinstance(root, Bucket):
            return _read_object(row, root, known.get(row.uri), probe)
        return _read_file(row, root / row.uri, known.get(row.uri))
    except OSError as error:
        return _unreadable_row(row, error)


def _unreadable_row(row: Row, error: OSError) -> BadRow:
    if error.errno in _MACHINE_ERRORS or isinstance(error, ConnectionError):
        raise MachineFault(
            f"{row.uri} cannot be read now: {error.strerror or error}; repeat the command later"
        ) from error
    return BadRow(row.line, row.uri, ReasonCode.CANNOT_BE_READ, str(error.strerror or error))


def _read_file(row: Row, path: Path, known: KnownFile | None) -> Recording | BadRow | _Hashed:
    before = path.stat()
    stamp = Stamp(before.st_size, before.st_mtime_ns)
    if (found := _known_recording(row, stamp, known)) is not None:
        return found
    return _Hashed(row, path, stamp, file_digest(path))


def _measured(file: _Hashed, found: Facts | Exception) -> Recording | BadRow:
    try:
        n_frames, rate_hz = _length(found)
        after = file.path.stat()
    except OSError as error:
        return _unreadable_row(file.row, error)
    if (after.st_size, after.st_mtime_ns) != file.stamp:
        what_to_do = "plan again when nothing writes to it"
        return BadRow(file.row.line, file.row.uri, ReasonCode.CHANGED_WHILE_READ, what_to_do)
    return Recording(file.row, *file.stamp, file.digest, n_frames, rate_hz)


def _read_object(row: Row, root: Bucket, known: KnownFile | None, probe: Probe) -> Recording | BadRow:
    """Do the same for an object. Its size and version need no second check, because reads name the version."""
    if (found := _known_recording(row, root.stamp(row.uri), known)) is not None:
        return found
    fetched = root.fetched(row.uri)
    digest = file_digest(fetched.place)
    [facts] = probe([fetched.place])  # one at a time, because the object's bytes are in memory
    return Recording(row, *fetched.stamp, digest, *_length(facts))


def _known_recording(row: Row, stamp: Stamp, known: KnownFile | None) -> Recording | BadRow | None:
    if stamp.size_bytes == 0:
        return BadRow(row.line, row.uri, ReasonCode.EMPTY, "0 bytes")
    if known is not None and (known.size_bytes, known.mtime_ns) == stamp:
        return Recording(row, *stamp, known.digest, known.n_frames, known.rate_hz)
    return None


def file_digest(place: Place) -> str:
    """Return the SHA-256 of a recording's bytes in hex, read in blocks of 1 MiB.

    Raises: OSError if the recording cannot be read.
    """
    return pieces_digest(pieces(place))


def _length(found: Facts | Exception) -> tuple[int, int]:
    """Return frames and rate, or zeros for unusable audio. Any other error of the probe is raised."""
    if isinstance(found, Unusable):
        return 0, 0
    if isinstance(found, Exception):
        raise found
    return found.n_frames, found.rate_hz


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
    _first_unclear: dict[str, str] = field(default_factory=dict)
    _named_groups: set[str] = field(default_factory=set)
    _n_ungrouped: int = 0

    def add(self, entry: Recording | BadRow) -> None:
        """Counts one recording, or one bad row by its code."""
        if isinstance(entry, BadRow):
            self.bad[entry.code] += 1
            return
        self.n_recordings += 1
        self.size_bytes += entry.size_bytes
        if not entry.digest:
            self.n_unread += 1
        elif entry.rate_hz > 0:
            self.duration_s += entry.n_frames / entry.rate_hz
        else:
            self.n_unmeasured += 1
        self._count(entry.row)

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
            f"{counted(len(self.classes), 'class', 'classes')}{_extremes(self.classes)}",
            counted(self.n_groups, "group"),
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
            lines.append(
                f"{counted(self.n_unmeasured, 'recording')} without a readable header; workers will report the reasons"
            )
        lines += [f"{counted(n, 'row')} not used: {words}" for words, n in self._bad_by_words().items()]
        return lines

    def as_dict(self) -> dict[str, object]:
        """Return the counts for `--json`, with sorted keys; the duration is rounded to milliseconds."""
        return {
            "recordings": self.n_recordings,
            "unread": self.n_unread,
            "unmeasured": self.n_unmeasured,
            "bytes": self.size_bytes,
            "duration_s": round(self.duration_s, 3),
            "groups": self.n_groups,
            "classes": dict(sorted(self.classes.items())),
            "folds": {str(fold): n for fold, n in sorted(self.folds.items())},
            "splits": dict(sorted(self.splits.items())),
            "bad_rows": self._bad_by_words(),
            "known": dict(sorted(self.known.items())),
            "unclear_cells": dict(sorted(self.unclear.items())),
        }


def _extremes(classes: Counter[str]) -> str:
    if not classes:
        return ""
    (most, most_n), (least, least_n) = max(classes.items(), key=_by_count), min(classes.items(), key=_by_count)
    return f", from {least} ({least_n:,}) to {most} ({most_n:,})"


def _by_count(pair: tuple[str, int]) -> tuple[int, str]:
    return pair[1], pair[0]
