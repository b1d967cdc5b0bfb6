"""What the ledger says is in the store, for those who compare; and the way back for what is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from db.moves import lock, move
from db.session import Database, now_s
from db.states import RUN_FINAL, State
from db.tables import Artifact, Item, Job, Recording, Run

PAGE = 5000


@dataclass(frozen=True)
class KeptStrip:
    """A strip the ledger believes in."""

    id: int
    key: str
    size_bytes: int
    sha256: str


def kept_strips(database: Database) -> Iterator[KeptStrip]:
    """Every strip, a page at a time."""
    last = 0
    while True:
        query = sa.select(Artifact.id, Artifact.key, Artifact.size_bytes, Artifact.sha256)
        with database.read() as connection:
            page = connection.execute(query.where(Artifact.id > last).order_by(Artifact.id).limit(PAGE)).all()
        yield from (KeptStrip(*row) for row in page)
        if len(page) < PAGE:
            return
        last = page[-1].id


def kept_files(database: Database) -> Iterator[str]:
    """Keys of everything that jobs left in the store."""
    with database.read() as connection:
        left = connection.execute(sa.select(Job.kind, Job.result).where(Job.state == State.DONE)).all()
    for kind, result in left:
        yield from result.get("shards", []) if kind == "pack" else [result["key"]] if "key" in result else []


def forget_strips(database: Database, strips: Sequence[int]) -> int:
    """Takes strips out of the ledger and lets the items that count on them wait again; returns their number.

    Their runs go on with `resume` or `retry`; what was packed from them is packed again.
    """
    with database.write() as connection:
        total = 0
        for strip in strips:
            same = sa.select(Item.id).join(Recording, Recording.id == Item.recording_id).join(
                Artifact,
                sa.and_(
                    Artifact.recording_digest == Recording.digest, Artifact.span == Item.span,
                    Artifact.pipeline_id == Item.pipeline_id, Artifact.copy == Item.copy,
                ),
            ).where(Artifact.id == strip)  # fmt: skip
            rows = lock(connection, Item, Item.id.in_(same), Item.state == State.DONE)
            move(connection, Item, rows, State.FAILED, reason="its strip is gone from the store", finished_at=now_s())
            connection.execute(sa.delete(Artifact).where(Artifact.id == strip))
            total += len(rows)
    return total


@dataclass(frozen=True)
class Stuck:
    """Work that somebody should look at."""

    n_expired: int
    n_sent: int
    planning_runs: tuple[int, ...]


def stuck(database: Database) -> Stuck:
    """Claims whose lease ran out, messages under way, and plans that were never finished."""
    with database.read() as connection:
        expired = sum(
            connection.execute(
                sa.select(sa.func.count())
                .select_from(table)
                .where(table.state == State.RUNNING, table.lease_until < now_s())
            ).scalar_one()
            for table in (Item, Job)
        )
        active = sa.select(Run.id).where(Run.state.not_in(RUN_FINAL))
        sent = connection.execute(
            sa.select(sa.func.count()).select_from(Item).where(Item.run_id.in_(active), Item.state == State.SENT)
        ).scalar_one()
        planning = connection.execute(sa.select(Run.id).where(Run.state == "planning").order_by(Run.id)).scalars()
        return Stuck(int(expired), int(sent), tuple(planning))
