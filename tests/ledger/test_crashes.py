"""Crashed and killed processes: what they count against, and when an item is given up."""

from __future__ import annotations

from db.engine import Database
from db.ledger import feeding
from db.queries.unused import unused
from domain.reasons import ReasonCode
from domain.retry import MAX_CRASHES, MAX_LOSSES
from domain.states import State
from tests.ledger_rows import item_states, small_run


def test_three_crashes_that_an_item_causes_quarantine_it(database: Database) -> None:
    small = small_run(database, 1)
    for attempt in range(MAX_CRASHES):
        assert item_states(small) == [State.WAITING], attempt
        small.ledger().claim_items(small.run, small.items)
        small.ledger().record_item_crash(small.items, is_own=True, reason="signal 11 (SIGSEGV)")
    assert item_states(small) == [State.QUARANTINED]
    [entry] = unused(small.database, small.run).quarantined
    assert "SIGSEGV" in entry.reason
    assert entry.reason_code == ReasonCode.CRASHED_WORKER


def test_items_that_shared_a_message_with_a_crash_are_not_blamed_and_are_sent_alone(database: Database) -> None:
    small = small_run(database, 3)
    small.ledger().claim_items(small.run, small.items)
    small.ledger().record_item_crash(small.items, is_own=True, reason="signal 11 (SIGSEGV)")
    assert item_states(small) == [State.WAITING] * 3
    batches = feeding.take_batches(small.database, small.run, 10, 60.0)
    assert [batch.items for batch in batches] == [(item,) for item in small.items]


def test_unexplained_kills_count_against_no_item_until_the_tenth(database: Database) -> None:
    small = small_run(database, 1)
    for _ in range(MAX_LOSSES - 1):
        small.ledger().claim_items(small.run, small.items)
        small.ledger().record_item_crash(small.items, is_own=False, reason="signal 9 (SIGKILL)")
    assert item_states(small) == [State.WAITING]
    small.ledger().claim_items(small.run, small.items)
    small.ledger().record_item_crash(small.items, is_own=False, reason="signal 9 (SIGKILL)")
    assert item_states(small) == [State.QUARANTINED]
