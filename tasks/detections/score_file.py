"""The scores of a prediction as one Parquet file: one row a window, written and read as a stream."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from domain.errors import Damaged
from tasks.dataset.recorders.clocks import Clock

_KEY = b"dawn-chorus-scores"
_VERSION = "2"
_MOST_ROWS = 8192
_MOST_BYTES = 1 << 23
"""Of the scores of a row group, unless a single window has more."""
_TEXTS = ["uri", "path", "clock_source", "reason"]


class ScoresError(Damaged):
    """The file holds no scores of this version, or the scores cannot be in one file."""


@dataclass(frozen=True)
class ScoreFacts:
    """What holds for all scores of a file.

    labels: the classes, in the order of the scores.  window_s: length of a window in s.  overlap_s: of two windows.
    run, run_digest: the prediction; the digest names its recordings, networks and pipeline.
    model: its name in tables, such as "3:cnn".  model_choice: a sentence.
    networks: SHA-256 of each network whose mean the scores are, by name.
    low_hz, high_hz: range of the spectrogram.  versions: of the libraries, by name.
    """

    labels: tuple[str, ...]
    window_s: float
    overlap_s: float
    run: int
    run_digest: str
    model: str
    model_choice: str
    networks: Mapping[str, str]
    pipeline_digest: str
    low_hz: float
    high_hz: float
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class ScoredRecording:
    """One recording of a prediction.

    number: its place in the run, ascending.  uri: its name below the data's root.  path: absolute path or S3 URL.
    duration_s: NaN if it is unknown, which only quarantined recordings may be.
    starts_s: (n,) float64, starts of the windows in s, ascending; silent windows have no row.
    scores: (n, classes) float32.
    clock: what the recorder's clock said at the start; None without one.
    unusable: begins and ends in s of the stretches that could not be analysed; none if the duration is unknown.
    """

    number: int
    uri: str
    path: str
    duration_s: float
    starts_s: NDArray[np.float64]
    scores: NDArray[np.float32]
    clock: Clock | None = None
    unusable: tuple[tuple[float, float], ...] = ()
    is_quarantined: bool = False
    reason: str | None = None


def write_scores(path: Path, facts: ScoreFacts, recordings: Iterable[ScoredRecording]) -> None:
    """Write the scores of a run to a new file; equal scores, facts and library versions give equal bytes.

    A recording without windows has one row whose start and scores are null. One row group, at most 8 MB of scores
    or 8,192 windows, is in memory beside one recording. Text that is not UTF-8 is escaped: `caf\\udce9.wav`.
    Raises: ScoresError if recordings are not in the order of their numbers or do not have the shape that
    `ScoredRecording` describes; OSError. The unfinished file is then deleted.
    """
    schema = _schema(facts)
    try:
        with pq.ParquetWriter(
            path,
            schema,
            version="2.6",
            data_page_version="1.0",
            compression="none",
            use_dictionary=_TEXTS,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=True,
        ) as writer:
            for pieces in _row_groups(recordings, len(facts.labels)):
                table = _table(pieces, schema)
                writer.write_table(table, row_group_size=table.num_rows)
    except BaseException:  # closing the writer has completed the file: it would pass for all scores
        path.unlink(missing_ok=True)
        raise


def read_scores(path: Path) -> tuple[ScoreFacts, Iterator[ScoredRecording]]:
    """Return the facts of a file and its recordings in their order; one row group and one recording are in memory.

    Raises: ScoresError if the file holds no scores of this version, here or from the iterator; OSError.
    """
    with _as_scores_error(path), pq.ParquetFile(path) as parquet:
        facts = _facts(path, (parquet.metadata.metadata or {}).get(_KEY))
    return facts, _recordings(path, len(facts.labels))


def utf8(text: str) -> str:
    r"""Return the text with bytes of a file name that are not UTF-8 escaped, so that every file can hold it.

    >>> utf8("caf\udce9.wav")
    'caf\\udce9.wav'
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _schema(facts: ScoreFacts) -> pa.Schema:
    element = pa.field("element", pa.float32(), nullable=False)
    columns = {
        "recording": (pa.int64(), False),
        "uri": (pa.string(), False),
        "path": (pa.string(), False),
        "duration_s": (pa.float64(), True),
        "clock_time": (pa.timestamp("us"), True),
        "clock_offset_s": (pa.int32(), True),
        "clock_source": (pa.string(), True),
        "is_clock_in_header": (pa.bool_(), True),
        "unusable_s": (pa.list_(pa.float64()), True),
        "is_quarantined": (pa.bool_(), False),
        "reason": (pa.string(), True),
        "start_s": (pa.float64(), True),
        "scores": (pa.list_(element, len(facts.labels)), True),
    }
    fields = [pa.field(name, type_, nullable=nullable) for name, (type_, nullable) in columns.items()]
    values = {"version": _VERSION, **asdict(facts)}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return pa.schema(fields, metadata={_KEY: text})


def _facts(path: Path, footer: bytes | None) -> ScoreFacts:
    if footer is None:
        raise ScoresError(f"{path.name} holds no scores: its footer has no facts")
    values = json.loads(footer)
    if (version := values.pop("version")) != _VERSION:
        raise ScoresError(
            f"{path.name} has scores of version {version!r:.20}, not {_VERSION}; predict the recordings again"
        )
    return ScoreFacts(**{**values, "labels": tuple(values["labels"])})


def _row_groups(recordings: Iterable[ScoredRecording], n_classes: int) -> Iterator[list[ScoredRecording]]:
    """Yield recordings, and pieces of long ones, that make one row group each."""
    most = max(1, min(_MOST_ROWS, _MOST_BYTES // (4 * n_classes)))
    pieces: list[ScoredRecording] = []
    rows, last = 0, -1
    for recording in recordings:
        _check(recording, n_classes, last)
        last = recording.number
        for piece in _pieces(recording, most):
            pieces.append(piece)
            rows += max(1, len(piece.starts_s))
            if rows >= most:
                yield pieces
                pieces, rows = [], 0
    if pieces:
        yield pieces


def _check(recording: ScoredRecording, n_classes: int, last: int) -> None:
    starts, scores = recording.starts_s, recording.scores
    holds = (
        recording.number > last,
        scores.shape == (len(starts), n_classes),
        starts.dtype == np.float64,
        scores.dtype == np.float32,
        not len(starts) or (starts[0] >= 0 and bool((starts[1:] > starts[:-1]).all())),
        not len(starts) or starts[-1] < recording.duration_s,
        recording.duration_s >= 0 or recording.is_quarantined,
        recording.clock is None or recording.clock.time.tzinfo is None,
        all(0 <= begin < end <= recording.duration_s for begin, end in recording.unusable),
    )
    if all(holds):
        return
    faults = (
        f"comes after number {last}",
        f"has scores of shape {scores.shape} for {len(starts)} windows",
        f"has {starts.dtype} starts",
        f"has {scores.dtype} scores",
        "has starts that do not ascend",
        "has a window that starts after its end",
        f"has the duration {recording.duration_s}",
        "has a clock with a zone beside its offset",
        f"has the unusable stretches {recording.unusable!r:.100}",
    )
    fault = faults[holds.index(False)]
    raise ScoresError(f"recording {recording.number}, {recording.uri!r:.200}, {fault}; predict it again")


def _pieces(recording: ScoredRecording, most: int) -> Iterator[ScoredRecording]:
    if len(recording.starts_s) <= most:
        yield recording
        return
    for first in range(0, len(recording.starts_s), most):
        yield _with_windows(recording, recording.starts_s[first : first + most], recording.scores[first : first + most])


def _with_windows(
    recording: ScoredRecording, starts_s: NDArray[np.float64], scores: NDArray[np.float32]
) -> ScoredRecording:
    return ScoredRecording(
        number=recording.number,
        uri=recording.uri,
        path=recording.path,
        duration_s=recording.duration_s,
        starts_s=starts_s,
        scores=scores,
        clock=recording.clock,
        unusable=recording.unusable,
        is_quarantined=recording.is_quarantined,
        reason=recording.reason,
    )


def _table(pieces: Sequence[ScoredRecording], schema: pa.Schema) -> pa.Table:
    n_windows = np.array([len(piece.starts_s) for piece in pieces])
    rows = np.repeat(np.arange(len(pieces)), np.maximum(n_windows, 1))
    is_null = np.repeat(n_windows == 0, np.maximum(n_windows, 1))
    starts = np.zeros(len(rows))
    starts[~is_null] = np.concatenate([piece.starts_s for piece in pieces])
    n_classes = schema.field("scores").type.list_size
    scores = np.zeros((len(rows), n_classes), np.float32)
    scores[~is_null] = np.concatenate([piece.scores for piece in pieces])
    facts: dict[str, list[Any]] = {
        "recording": [piece.number for piece in pieces],
        "uri": [utf8(piece.uri) for piece in pieces],
        "path": [utf8(piece.path) for piece in pieces],
        "duration_s": [None if math.isnan(piece.duration_s) else piece.duration_s for piece in pieces],
        "clock_time": [None if piece.clock is None else piece.clock.time for piece in pieces],
        "clock_offset_s": [_offset_s(piece.clock) for piece in pieces],
        "clock_source": [None if piece.clock is None else piece.clock.source for piece in pieces],
        "is_clock_in_header": [None if piece.clock is None else piece.clock.is_header for piece in pieces],
        "unusable_s": [list(chain(*piece.unusable)) or None for piece in pieces],
        "is_quarantined": [piece.is_quarantined for piece in pieces],
        "reason": [None if piece.reason is None else utf8(piece.reason) for piece in pieces],
    }
    columns = [pa.array(values, schema.field(name).type).take(pa.array(rows)) for name, values in facts.items()]
    columns.append(pa.array(starts, mask=is_null))
    type_ = schema.field("scores").type
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), type=type_, mask=pa.array(is_null)))
    return pa.Table.from_arrays(columns, schema=schema)


def _offset_s(clock: Clock | None) -> int | None:
    return None if clock is None or clock.offset is None else round(clock.offset.total_seconds())


def _clock(time: datetime | None, offset_s: float, source: str | None, is_header: bool | None) -> Clock | None:  # noqa: FBT001
    """Return the clock in the cells of a row. offset_s: NaN if the zone is not known."""
    if time is None or source is None:
        return None
    return Clock(time, None if math.isnan(offset_s) else timedelta(seconds=offset_s), source, bool(is_header))


@contextmanager
def _as_scores_error(path: Path) -> Iterator[None]:
    """Raise ScoresError for the errors that pyarrow raises for bytes that are no scores."""
    try:
        yield
    except MemoryError:  # pyarrow's is an ArrowException too
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault; pyarrow's own have no number
            raise
        raise ScoresError(f"{path.name} holds no scores: {error!s:.200}; collect them again") from error


def _recordings(path: Path, n_classes: int) -> Iterator[ScoredRecording]:
    """Join the pieces of each recording, which follow each other."""
    pieces: list[ScoredRecording] = []
    with _as_scores_error(path), pq.ParquetFile(path, read_dictionary=_TEXTS, page_checksum_verification=True) as file:
        for number in range(file.num_row_groups):
            for piece in _read(file.read_row_group(number, use_threads=False), n_classes):
                if pieces and pieces[0].number != piece.number:
                    yield _joined(pieces)
                    pieces = []
                pieces.append(piece)
    if pieces:
        yield _joined(pieces)


def _joined(pieces: Sequence[ScoredRecording]) -> ScoredRecording:
    if len(pieces) == 1:
        return pieces[0]
    starts_s = np.concatenate([piece.starts_s for piece in pieces])
    return _with_windows(pieces[0], starts_s, np.concatenate([piece.scores for piece in pieces]))


def _read(table: pa.Table, n_classes: int) -> Iterator[ScoredRecording]:
    """Yield the recordings of a row group. Their arrays are views of its columns."""
    numbers = table["recording"].to_numpy()
    firsts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    is_window = table["start_s"].is_valid().to_numpy()
    # Windows before each row: null rows are in no array of windows.
    before = np.concatenate([[0], np.cumsum(is_window)])
    bounds = before[np.append(firsts, len(numbers))].tolist()
    starts = table["start_s"].drop_null().to_numpy()
    scores = np.asarray(table["scores"].combine_chunks().flatten(), np.float32).reshape(-1, n_classes)
    facts = table.drop_columns(["start_s", "scores"]).take(pa.array(firsts))
    columns = [_values(facts[name]) for name in facts.column_names]
    for at, (number, uri, path, duration_s, *clock, unusable, is_quarantined, reason) in enumerate(
        zip(*columns, strict=True)
    ):
        yield ScoredRecording(
            number=number,
            uri=uri,
            path=path,
            duration_s=duration_s,
            starts_s=starts[bounds[at] : bounds[at + 1]],
            scores=scores[bounds[at] : bounds[at + 1]],
            clock=_clock(*clock),
            unusable=() if unusable is None else tuple(map(tuple, unusable.reshape(-1, 2).tolist())),
            is_quarantined=is_quarantined,
            reason=reason,
        )


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return a column as Python values: NaN for numbers that are null, otherwise None. `to_pylist` is slower."""
    plain = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return list(plain.to_numpy(zero_copy_only=False).tolist())
