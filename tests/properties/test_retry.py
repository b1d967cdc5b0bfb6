"""The retry policy, for whatever happens in whatever order: it ends, within its limits, and blames the right one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.reasons import Reason, ReasonCode
from domain.retry import (
    FAULT_JITTER,
    FAULT_PAUSE_S,
    MAX_CRASHES,
    MAX_FAULTS,
    MAX_LOSSES,
    Cause,
    Counters,
    Event,
    Fail,
    Quarantine,
    Wait,
    decide,
)

reasons = st.builds(Reason, st.sampled_from(ReasonCode), st.text(max_size=8))
events = st.builds(Event, st.sampled_from(Cause), reasons, st.integers(1, 4))
counted = events.filter(lambda event: event.cause != Cause.STOP)
counters = st.builds(
    Counters, st.integers(0, MAX_CRASHES - 1), st.integers(0, MAX_LOSSES - 1), st.integers(0, MAX_FAULTS - 1)
)
draws = st.floats(0, 1)
MOST_ATTEMPTS = (MAX_CRASHES - 1) + (MAX_LOSSES - 1) + (MAX_FAULTS - 1) + 1


@given(st.lists(counted, min_size=MOST_ATTEMPTS, max_size=MOST_ATTEMPTS))
def test_whatever_happens_the_attempts_come_to_an_end_and_no_counter_passes_its_limit(history: list[Event]) -> None:
    now = Counters()
    for event in history:
        ended = not isinstance(decide(now, event), Wait)
        now = now.after(event)
        assert now.crashes <= MAX_CRASHES
        assert now.lost_claims <= MAX_LOSSES
        assert now.faults <= MAX_FAULTS
        if ended:
            return
    raise AssertionError("tried for ever")


@given(counters, reasons, draws, st.integers(1, 4))
def test_a_machines_fault_never_quarantines_a_recording(
    now: Counters, reason: Reason, draw: float, n_together: int
) -> None:
    decision = decide(now, Event(Cause.FAULT, reason, n_together), draw)
    assert isinstance(decision, Fail if now.faults == MAX_FAULTS - 1 else Wait)


@given(counters, events, draws)
def test_only_what_a_process_died_of_and_an_unusable_recording_lead_to_quarantine(
    now: Counters, event: Event, draw: float
) -> None:
    if isinstance(decide(now, event, draw), Quarantine):
        assert event.cause in {Cause.UNUSABLE, Cause.CRASH, Cause.KILL, Cause.LOSS}


@given(counters, reasons, st.integers(2, 4))
def test_nothing_is_blamed_for_a_crash_among_several_and_each_comes_alone_next_time(
    now: Counters, reason: Reason, n_together: int
) -> None:
    crash = Event(Cause.CRASH, reason, n_together)
    assert now.after(crash) == Counters(now.crashes, now.lost_claims + 1, now.faults)
    assert decide(now, crash) == Wait(alone=True) or now.lost_claims == MAX_LOSSES - 1


@given(counters, reasons)
def test_a_worker_that_is_asked_to_stop_costs_its_work_nothing(now: Counters, reason: Reason) -> None:
    stop = Event(Cause.STOP, reason)
    assert (now.after(stop), decide(now, stop)) == (now, Wait())


@given(counters, reasons, draws)
def test_pauses_double_with_each_fault_and_are_at_most_half_as_long_again(
    now: Counters, reason: Reason, draw: float
) -> None:
    decision = decide(now, Event(Cause.FAULT, reason), draw)
    if isinstance(decision, Wait):
        shortest_s = FAULT_PAUSE_S * 2**now.faults
        assert shortest_s <= decision.pause_s <= shortest_s * (1 + FAULT_JITTER)


@given(counters, counted)
def test_what_is_given_up_says_why(now: Counters, event: Event) -> None:
    decision = decide(now, event)
    if not isinstance(decision, Wait):
        assert decision.reason.sentence.endswith(event.reason.sentence)


def test_each_limit_is_reached_by_the_attempt_that_it_names() -> None:
    for cause, limit in ((Cause.CRASH, MAX_CRASHES), (Cause.LOSS, MAX_LOSSES), (Cause.FAULT, MAX_FAULTS)):
        now, event = Counters(), Event(cause, Reason(ReasonCode.MACHINE_FAULT, "why"))
        n = 1
        while isinstance(decide(now, event), Wait):
            now, n = now.after(event), n + 1
        assert n == limit
