"""The recordings of a run, each with its state and its place in the split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from db.engine import Database
from db.named_rows import rows_as
from db.queries.status import recording_state, state_flags
from db.schema.tables import Item, Recording

_PAGE = 20_000


@dataclass(frozen=True)
class RunRecording:
    """A recording of a run.

    group, fold, subset: of its items; the subset of a recording with a fold is that in the other folds.
    n_frames, rate_hz: 0 if they are not known.  reason: why an item is not used, or waits; None if there is none.
    """

    id: int
    uri: str
    label: str
    group: str
    fold: int
    subset: int
    n_frames: int
    rate_hz: int
    state: str
    reason: str | None


def run_recordings(database: Database, run: int) -> Iterator[RunRecording]:
    """The recordings of the run in the order of their ids, read a page at a time."""
    last = 0
    while True:
        of_page = (
            sa.select(Item.recording_id)
            .distinct()
            .where(Item.run_id == run, Item.recording_id > last)
            .order_by(Item.recording_id)
            .limit(_PAGE)
            .subquery()
        )
        facts = (
            sa.func.min(Item.group_name).label("group_name"),
            sa.func.min(Item.fold).label("fold"),
            sa.func.min(Item.subset).label("subset"),
            sa.func.min(Item.reason).label("reason"),
        )
        items = (
            sa.select(Item.recording_id, *facts, *state_flags())
            .where(Item.run_id == run, Item.recording_id.in_(sa.select(of_page.c.recording_id)))
            .group_by(Item.recording_id)
            .subquery()
        )
        query = (
            sa.select(
                Recording.id, Recording.uri, Recording.label, items.c.group_name.label("group"), items.c.fold,
                items.c.subset, Recording.n_frames, Recording.rate_hz, recording_state(items.c).label("state"),
                items.c.reason,
            )
            .join(items, items.c.recording_id == Recording.id)
            .order_by(Recording.id)
        )  # fmt: skip
        with database.read() as connection:
            page = rows_as(RunRecording, connection.execute(query))
        yield from page
        if len(page) < _PAGE:
            return
        last = page[-1].id
