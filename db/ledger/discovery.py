"""What a worker finds out about a recording that was planned on trust: digest, size, and further spans."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.ledger.transitions import count, insert
from db.schema.tables import Item, Recording, Run
from domain.digests import number_of
from domain.states import UNTRIED, RunKind, State


@dataclass(frozen=True)
class FoundFile:
    """A recording's file as a worker found it, and the number of its spans."""

    digest: str
    size_bytes: int
    mtime_ns: int
    n_frames: int
    rate_hz: int
    n_spans: int


def record_found(
    connection: Connection, found: Sequence[tuple[int, FoundFile]], cancelled: Collection[int]
) -> set[int]:
    """Record the files behind items, given as (item, file); called in the transaction that settles the items.

    The first worker's record counts: returns the items whose recording already has the digest of other bytes. A plan on
    trust knows only the first span; the others are added as items of the run, cancelled if their run is in `cancelled`.
    """
    return {item for item, file in found if not _record(connection, item, file, cancelled)}


def _record(connection: Connection, item: int, file: FoundFile, cancelled: Collection[int]) -> bool:
    columns = (*_COPIED, Item.order_key, Run.kind)
    first = connection.execute(sa.select(*columns).join(Run, Run.id == Item.run_id).where(Item.id == item)).one()
    facts = {
        "digest": file.digest, "size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns,
        "n_frames": file.n_frames, "rate_hz": file.rate_hz,
    }  # fmt: skip
    # One conditional update decides between workers that read the recording at the same time.
    is_unknown_or_same = (Recording.id == first.recording_id, Recording.digest.in_(("", file.digest)))
    if connection.execute(sa.update(Recording).where(*is_unknown_or_same).values(**facts)).rowcount == 0:
        return False
    _add_spans(connection, first, file.n_spans, State.CANCELLED if first.run_id in cancelled else State.WAITING)
    return True


_COPIED = (
    Item.run_id, Item.recording_id, Item.pipeline_id, Item.copy, Item.fold, Item.subset, Item.group_name, Item.work_s,
)  # fmt: skip


def _order_key(first: Any, span: int) -> int:
    """The place of a further span. It follows from the first span's, so that any worker adds the same rows.

    Packed examples are shuffled; the spans of a prediction stay together.
    """
    if first.kind == RunKind.PREDICT:
        return int(first.order_key) + span
    return number_of([first.order_key, span])


def _add_spans(connection: Connection, first: Any, n_spans: int, state: State) -> None:
    if n_spans < 2:
        return
    copied = {column.key: getattr(first, column.key) for column in _COPIED}
    rows = [
        {**copied, **UNTRIED, "span": span, "order_key": _order_key(first, span), "state": state}
        for span in range(1, n_spans)
    ]
    # An earlier attempt may have added the same spans: count only the rows that are new.
    added = connection.scalars(insert(connection, Item).on_conflict_do_nothing().returning(Item.id), rows).all()
    count(connection, {(first.run_id, state.value): len(added)})
