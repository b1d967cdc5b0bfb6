"""The spans of a prediction with their scores, as the collect job and the tables read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from db.engine import Database
from db.named_rows import rows_as
from db.queries.job_inputs import PAGE
from db.schema.tables import IS_ITS_STRIP, Artifact, Item, Recording, Run
from domain.states import State
from domain.subsets import HOLDOUT, Subset


@dataclass(frozen=True)
class ScoredSpan:
    """A span of a prediction. key, sha256, size_bytes: of its scores; empty and 0 if the span was not predicted.

    order_key: ascends by recording, then by span.  n_frames, rate_hz: of the recording; 0 if they are not known.
    """

    id: int
    order_key: int
    recording_id: int
    recording: str
    n_frames: int
    rate_hz: int
    span: int
    state: str
    reason: str | None
    key: str
    sha256: str
    size_bytes: int

    @property
    def is_predicted(self) -> bool:
        """Whether it has scores."""
        return bool(self.key)


def scored_spans(database: Database, run: int) -> Iterator[ScoredSpan]:
    """All spans of the run in the order of its plan, read a page at a time."""
    pipeline = sa.select(Run.pipeline_id).where(Run.id == run).scalar_subquery()
    of_run = (Item.run_id == run, Item.pipeline_id == pipeline, Item.fold == HOLDOUT, Item.subset == Subset.TEST)
    after = (-(2**63), 0)
    while True:
        query = (
            sa.select(
                Item.id, Item.order_key, Item.recording_id, Recording.uri.label("recording"), Recording.n_frames,
                Recording.rate_hz, Item.span, Item.state, Item.reason,
                sa.func.coalesce(Artifact.key, "").label("key"),
                sa.func.coalesce(Artifact.sha256, "").label("sha256"),
                sa.func.coalesce(Artifact.size_bytes, 0).label("size_bytes"),
            )
            .join(Recording, Recording.id == Item.recording_id)
            .outerjoin(Artifact, sa.and_(IS_ITS_STRIP, Item.state == State.DONE))
            .where(*of_run, sa.tuple_(Item.order_key, Item.id) > after)
            .order_by(Item.order_key, Item.id)
            .limit(PAGE)
        )  # fmt: skip
        with database.read() as connection:
            page = rows_as(ScoredSpan, connection.execute(query))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].order_key, page[-1].id
