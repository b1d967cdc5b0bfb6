"""Claims whose holder is gone: they wait again, are given up when it was once too often, or end with their run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import now_s
from db.id_lists import is_one_of
from db.ledger.transitions import Locked, Worked, count, move_each
from db.schema.tables import DEATHS, LOSSES, Item
from domain.states import MAX_LOSSES, MAX_OWN_DEATHS, State

CALLED_OFF = "the run was cancelled"


def record_losses(
    connection: Connection,
    table: Worked,
    rows: Sequence[Locked],
    cancelled: frozenset[int],
    *,
    is_own: bool,
    reason: str,
) -> None:
    """What died with its process, or lost its lease. cancelled: runs to whose items and jobs nothing more happens."""
    now = connection.execute(sa.select(now_s())).scalar_one()
    end = State.QUARANTINED if table is Item else State.FAILED
    targets = []
    for row in rows:
        state, values = _after_loss(row, reason, end, is_blamed=is_own)
        if state == State.WAITING and row.run in cancelled:
            state, values = State.CANCELLED, {**values, "reason": CALLED_OFF}
        targets.append((row, state, {**values, "finished_at": None if state == State.WAITING else now}))
    move_each(connection, table, targets)
    count(connection, Counter((row.run, DEATHS if is_own else LOSSES) for row in rows))


def separate(connection: Connection, rows: Sequence[Locked]) -> None:
    """Has these items come again one by one: whichever of them ends or holds up its process, the others are done."""
    connection.execute(sa.update(Item).where(is_one_of(Item.id, [row.id for row in rows])).values(is_alone=True))


def _after_loss(row: Locked, reason: str, end: State, *, is_blamed: bool) -> tuple[State, dict[str, Any]]:
    crashes, lost_claims = row.crashes + is_blamed, row.lost_claims + (not is_blamed)
    values = {"crashes": crashes, "lost_claims": lost_claims}
    if crashes >= MAX_OWN_DEATHS:
        return end, {**values, "reason": f"ended its process {crashes} times: {reason}"}
    if lost_claims >= MAX_LOSSES:
        return end, {**values, "reason": f"lost its worker {lost_claims} times: {reason}"}
    return State.WAITING, {**values, "reason": reason}
