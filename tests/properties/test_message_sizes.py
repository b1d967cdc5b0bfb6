"""How items are put into messages, for any items."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from db.ledger.feeding import make_batches
from domain.work import MAX_ITEMS_PER_MESSAGE

LARGEST_S = 1.0
works = st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=400)
small = st.lists(st.floats(0.0, 0.05), min_size=1, max_size=900)


def numbered(work):
    return [(at, seconds, is_alone) for at, (seconds, is_alone) in enumerate(work)]


@given(works, st.integers(1, 300), st.floats(0, 1e6))
def test_messages_hold_the_first_items_once_in_their_order_and_are_no_more_than_asked(work, n_messages, rest_s):
    batches = make_batches(numbered(work), n_messages, LARGEST_S, rest_s)
    sent = [item for batch in batches for item in batch]
    assert sent == list(range(len(sent)))
    assert len(batches) <= n_messages
    assert all(batches)
    if len(batches) < n_messages:
        assert len(sent) == len(work)


@given(works, st.floats(0, 1e6))
def test_no_message_is_begun_anew_before_it_is_full_nor_filled_beyond(work, rest_s):
    for batch in make_batches(numbered(work), 1000, LARGEST_S, rest_s):
        assert len(batch) <= MAX_ITEMS_PER_MESSAGE
        before_the_last = sum(work[item][0] for item in batch[:-1])
        assert before_the_last < LARGEST_S
        assert len(batch) == 1 or not any(work[item][1] for item in batch)


@given(small)
def test_towards_the_end_messages_become_smaller_so_that_workers_end_together(work):
    rest_s = sum(work)
    batches = make_batches([(at, seconds, False) for at, seconds in enumerate(work)], 10_000, LARGEST_S, rest_s)
    last_s = sum(work[item] for item in batches[-1])
    assert last_s <= max(LARGEST_S / 10, rest_s / 16) + 0.05
    far_from_it = make_batches([(at, seconds, False) for at, seconds in enumerate(work)], 10_000, LARGEST_S, math.inf)
    assert len(far_from_it) <= len(batches)
