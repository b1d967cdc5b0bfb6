"""Claims whose process or worker has ended. `domain.retry` decides whether their rows wait again or are given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from db.engine import now_s
from db.id_lists import is_one_of
from db.ledger.transitions import LockedRow, WorkTable, count, move_each
from db.schema.tables import Item
from domain.frozen_words import DEATHS, LOSSES
from domain.reasons import CANCELLED, columns_of
from domain.retry import Event, Wait, decide
from domain.states import State


def record_losses(
    connection: Connection, table: WorkTable, rows: Sequence[LockedRow], cancelled: frozenset[int], event: Event
) -> None:
    """Count the event against each row, and move the row to its next state.

    cancelled: runs that are cancelled; their items and jobs are not retried.
    """
    now = connection.execute(sa.select(now_s())).scalar_one()
    targets, alone = [], []
    for row in rows:
        state, values = _after_loss(table, row, event, is_cancelled=row.run in cancelled)
        if isinstance(decision := decide(row.counters, event), Wait) and decision.alone:
            alone.append(row.id)
        targets.append((row, state, {**values, "finished_at": None if state == State.WAITING else now}))
    move_each(connection, table, targets)
    if table is Item and alone:
        # Each goes into a message of its own: if one of them crashes or blocks its process, no other item suffers.
        connection.execute(sa.update(Item).where(is_one_of(Item.id, alone)).values(is_alone=True))
    count(connection, Counter((row.run, DEATHS if event.is_blamed else LOSSES) for row in rows))


def _after_loss(table: WorkTable, row: LockedRow, event: Event, *, is_cancelled: bool) -> tuple[State, dict[str, Any]]:
    after, decision = row.counters.after(event), decide(row.counters, event)
    counted = {"crashes": after.crashes, "lost_claims": after.lost_claims}
    if not isinstance(decision, Wait):
        end = State.QUARANTINED if table is Item else State.FAILED
        return end, {**counted, **columns_of(decision.reason)}
    if is_cancelled:
        return State.CANCELLED, {**counted, **columns_of(CANCELLED)}
    return State.WAITING, {**counted, **columns_of(event.reason)}
