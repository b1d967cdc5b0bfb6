"""What a worker finds out about a recording that was planned on trust: its digest, its size, and further spans."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.ledger.transitions import count, insert
from db.schema.tables import Item, Recording
from domain.digests import number_of
from domain.states import UNTRIED, State


@dataclass(frozen=True)
class FoundFile:
    """A recording's file as a worker found it, and how many spans that makes."""

    digest: str
    size_bytes: int
    mtime_ns: int
    n_frames: int
    rate_hz: int
    n_spans: int


def keep_found(connection: Connection, found: Sequence[tuple[int, FoundFile]], cancelled: Collection[int]) -> set[int]:
    """Writes what was found behind items (id, file), called in the transaction that settles them.

    The first worker's word stands: returns the items for which others' bytes had been noted before. Spans beyond the
    first, which no plan could know of, become items of the run, and are called off where it is `cancelled`.
    """
    return {item for item, file in found if not _keep(connection, item, file, cancelled)}


def _keep(connection: Connection, item: int, file: FoundFile, cancelled: Collection[int]) -> bool:
    first = connection.execute(sa.select(*_COPIED, Item.order_key).where(Item.id == item)).one()
    facts = {
        "digest": file.digest, "size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns,
        "n_frames": file.n_frames, "rate_hz": file.rate_hz,
    }  # fmt: skip
    is_first_word = (Recording.id == first.recording_id, Recording.digest.in_(("", file.digest)))
    if connection.execute(sa.update(Recording).where(*is_first_word).values(**facts)).rowcount == 0:
        return False
    _add_spans(connection, first, file.n_spans, State.CANCELLED if first.run_id in cancelled else State.WAITING)
    return True


_COPIED = (
    Item.run_id, Item.recording_id, Item.pipeline_id, Item.copy, Item.fold, Item.subset, Item.group_name, Item.work_s,
)  # fmt: skip


def _add_spans(connection: Connection, first: Any, n_spans: int, state: State) -> None:
    if n_spans < 2:
        return
    copied = {column.key: getattr(first, column.key) for column in _COPIED}
    rows = [
        {**copied, **UNTRIED, "span": span, "order_key": _order_key(first.order_key, span), "state": state}
        for span in range(1, n_spans)
    ]
    added = connection.scalars(insert(connection, Item).on_conflict_do_nothing().returning(Item.id), rows).all()
    count(connection, {(first.run_id, state.value): len(added)})


def _order_key(first: int, span: int) -> int:
    """A place in the packed order that follows from the first span's."""
    return number_of([first, span])
