"""Recordings that a run does not use, or uses in part, with the reasons; read from their items.

A query takes time in proportion to the number of quarantined and failed items, not to that of all items.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import Database
from db.named_rows import rows_as
from db.queries.status import UNKNOWN, bad_rows
from db.schema.tables import Item, Pipeline, Recording
from domain.plural import counted
from domain.reasons import words_of
from domain.states import OPEN, State

_RANGES_LISTED = 3


@dataclass(frozen=True)
class NotUsed:
    """A recording, or a row of the dataset, that is not used for any example."""

    recording: str
    reason: str
    reason_code: str


@dataclass(frozen=True)
class LostSpan:
    """A span of a recording that became no strip.

    start_s, end_s: within the recording.  state: quarantined or failed.
    """

    span: int
    start_s: float
    end_s: float
    preset: str
    state: str
    reason: str
    reason_code: str


@dataclass(frozen=True)
class UsedInPart:
    """A recording of which some spans became strips and others did not.

    reason: a sentence with spans, seconds and reasons.  n_spans: of all presets.  lost_s: seconds lost with a preset.
    duration_s: as planned; None if it is not known.
    """

    recording: str
    reason: str
    reason_code: str
    spans: tuple[LostSpan, ...]
    n_spans: int
    lost_s: float
    duration_s: float | None


@dataclass(frozen=True)
class _Losses:
    """The lost spans of one recording, in order, and what became of its other spans."""

    recording: str
    spans: tuple[LostSpan, ...]
    n_spans: int
    is_any_done: bool
    is_any_open: bool
    duration_s: float | None

    def of(self, state: State) -> list[LostSpan]:
        return [lost for lost in self.spans if lost.state == state]


@dataclass(frozen=True)
class Unused:
    """What a run does not use.

    quarantined: recordings without any strip, then the dataset's rows that name no usable recording.
    in_part: recordings with strips of some spans.  A recording with an open item is in neither of the two yet.
    failed: recordings with failed items. The machine was at fault, so `retry` may make them usable.
    """

    quarantined: list[NotUsed]
    in_part: list[UsedInPart]
    failed: list[NotUsed]


def unused(database: Database, run: int) -> Unused:
    """The recordings that the run does not use, or uses in part; each list is sorted by URI."""
    found = _losses(database, run)
    ended = [each for each in found if not each.is_any_open]
    lost = [_not_used(each, spans) for each in ended if not each.is_any_done and (spans := each.of(State.QUARANTINED))]
    rows = [NotUsed(row.uri, row.reason, row.reason_code) for row in bad_rows(database, run) if row.is_unusable]
    return Unused(
        quarantined=[*lost, *rows],
        in_part=[_used_in_part(each) for each in ended if each.is_any_done],
        failed=[_not_used(each, spans) for each in found if (spans := each.of(State.FAILED))],
    )


def lost_classes(database: Database, run: int, pipeline: int, labels: Sequence[str]) -> dict[str, Counter[str]]:
    """Those of the classes of which all recordings are quarantined or failed, with the recordings by reason code."""
    is_original = (Item.run_id == run, Item.pipeline_id == pipeline, Item.copy == 0)
    query = (
        sa.select(
            Recording.label, Item.state, sa.func.coalesce(Item.reason_code, UNKNOWN),
            sa.func.count(sa.distinct(Item.recording_id)),
        )
        .join(Recording, Recording.id == Item.recording_id)
        .where(*is_original, Recording.label.in_(labels))
        .group_by(Recording.label, Item.state, Item.reason_code)
    )  # fmt: skip
    found: dict[str, Counter[str]] = {}
    has_others = set()
    with database.read() as connection:
        for label, state, code, n in connection.execute(query):
            if state in (State.QUARANTINED, State.FAILED):
                found.setdefault(label, Counter())[code] += int(n)
            else:
                has_others.add(label)
    return {label: found[label] for label in sorted(found.keys() - has_others)}


def _not_used(found: _Losses, lost: Sequence[LostSpan]) -> NotUsed:
    return NotUsed(found.recording, _reasons(lost, found.n_spans), _commonest_code(lost))


def _used_in_part(found: _Losses) -> UsedInPart:
    ranges = _ranges(found.spans)
    lost_s = sum(end_s - start_s for start_s, end_s in ranges)
    of_all = "" if found.duration_s is None else f" of {_seconds(found.duration_s)}"
    listed = ", ".join(f"{_seconds(start_s)} to {_seconds(end_s)}" for start_s, end_s in ranges[:_RANGES_LISTED])
    listed += ", …" if len(ranges) > _RANGES_LISTED else ""
    lost = f"{len(found.spans):,} of {counted(found.n_spans, 'span')} lost, {_seconds(lost_s)}{of_all} s ({listed} s)"
    return UsedInPart(
        found.recording, f"{lost}: {_reasons(found.spans, found.n_spans)}", _commonest_code(found.spans), found.spans,
        found.n_spans, round(lost_s, 3), found.duration_s,
    )  # fmt: skip


def _seconds(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _ranges(spans: Iterable[LostSpan]) -> list[tuple[float, float]]:
    """The stretches that the spans cover, in order, adjacent ones joined."""
    ranges: list[tuple[float, float]] = []
    for start_s, end_s in sorted((lost.start_s, lost.end_s) for lost in spans):
        if ranges and start_s <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(end_s, ranges[-1][1])
        else:
            ranges.append((start_s, end_s))
    return ranges


def _commonest_code(lost: Sequence[LostSpan]) -> str:
    return Counter(each.reason_code for each in lost).most_common(1)[0][0]


def _reasons(lost: Sequence[LostSpan], n_spans: int) -> str:
    """One sentence if it holds for every lost span; otherwise how many spans each kind of reason holds for."""
    if len({each.reason for each in lost}) == 1:
        return lost[0].reason
    by_code: dict[str, list[str]] = defaultdict(list)
    for each in lost:
        by_code[each.reason_code].append(each.reason.removeprefix(f"{words_of(each.reason_code)}: "))
    return "; ".join(
        f"{len(sentences):,} of {counted(n_spans, 'span')} {words_of(code)}"
        f"{', for example' if len(set(sentences)) > 1 else ''}: {sentences[0]}"
        for code, sentences in by_code.items()
    )


class _LostItem(NamedTuple):
    recording_id: int
    uri: str
    n_frames: int
    rate_hz: int
    pipeline_id: int
    span: int
    state: str
    reason: str
    reason_code: str


class _Pipeline(NamedTuple):
    name: str
    span_s: float


def _losses(database: Database, run: int) -> list[_Losses]:
    """The recordings with quarantined or failed items, sorted by URI."""
    is_lost = (Item.run_id == run, Item.state.in_((State.QUARANTINED, State.FAILED)))
    lost = (
        sa.select(
            Item.recording_id, Recording.uri, Recording.n_frames, Recording.rate_hz, Item.pipeline_id, Item.span,
            Item.state, sa.func.coalesce(Item.reason, "").label("reason"),
            sa.func.coalesce(Item.reason_code, UNKNOWN).label("reason_code"),
        )
        .join(Recording, Recording.id == Item.recording_id)
        .where(*is_lost)
        .order_by(Item.recording_id, Item.span, Item.pipeline_id, Item.copy)
    )  # fmt: skip
    others = (
        sa.select(
            Item.recording_id,
            sa.func.sum(sa.case((Item.copy == 0, 1), else_=0)),
            sa.func.max(sa.case((Item.state == State.DONE, 1), else_=0)),
            sa.func.max(sa.case((Item.state.in_(OPEN), 1), else_=0)),
        )
        .where(Item.run_id == run, Item.recording_id.in_(sa.select(Item.recording_id).where(*is_lost)))
        .group_by(Item.recording_id)
    )
    with database.read() as connection:
        by_recording: dict[int, list[_LostItem]] = defaultdict(list)
        for item in rows_as(_LostItem, connection.execute(lost)):
            by_recording[item.recording_id].append(item)
        rest = {recording: facts for recording, *facts in connection.execute(others)}
        pipelines = _pipelines(connection, {item.pipeline_id for items in by_recording.values() for item in items})
    found = [_of_recording(items, pipelines, *rest[recording]) for recording, items in by_recording.items()]
    return sorted(found, key=lambda each: each.recording)  # databases sort text in different orders


def _pipelines(connection: Connection, ids: set[int]) -> dict[int, _Pipeline]:
    query = sa.select(Pipeline.id, Pipeline.name, Pipeline.parameters).where(Pipeline.id.in_(ids))
    return {row.id: _Pipeline(row.name, float(row.parameters["decode"]["span_s"])) for row in connection.execute(query)}


def _of_recording(
    items: Sequence[_LostItem], pipelines: dict[int, _Pipeline], n_spans: int, is_any_done: int, is_any_open: int
) -> _Losses:
    first = items[0]
    duration_s = first.n_frames / first.rate_hz if first.n_frames > 0 and first.rate_hz > 0 else None
    spans: dict[tuple[int, int, str], LostSpan] = {}
    for item in items:  # copies of a span count once
        key = item.span, item.pipeline_id, item.state
        spans.setdefault(key, _lost_span(item, pipelines[item.pipeline_id], duration_s))
    return _Losses(
        first.uri, tuple(spans.values()), n_spans, bool(is_any_done), bool(is_any_open),
        None if duration_s is None else round(duration_s, 3),
    )  # fmt: skip


def _lost_span(item: _LostItem, pipeline: _Pipeline, duration_s: float | None) -> LostSpan:
    start_s, end_s = item.span * pipeline.span_s, (item.span + 1) * pipeline.span_s
    if duration_s is not None and duration_s > start_s:
        end_s = min(end_s, duration_s)
    return LostSpan(item.span, start_s, round(end_s, 3), pipeline.name, item.state, item.reason, item.reason_code)
