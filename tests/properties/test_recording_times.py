"""Local times survive the way to UTC and back, except where clocks were put forward."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts
from tasks.dataset.recorders.clocks import clock_of, clock_texts
from tasks.dataset.recorders.recorded_at import TimeDoubt, recorded_at

TIMES = st.datetimes(datetime(1971, 1, 2), datetime(2037, 12, 30))  # noqa: DTZ001 - local times
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"]
)


def found_at(name, header, zone):
    """The time of a recording; None without a clock. What a prediction keeps of the header must be enough."""
    clock = clock_of(name, clock_texts(header))
    assert clock == clock_of(name, header)
    return clock and recorded_at(clock, zone)


@given(TIMES, ZONES)
def test_a_local_time_survives_the_way_to_utc_and_back(time, zone):
    found = found_at(f"S_{time:%Y%m%d_%H%M%S}.wav", NO_TEXTS, ZoneInfo(zone))
    assert (found.local - found.utc).total_seconds() == 0
    if found.doubt != TimeDoubt.SKIPPED:
        assert found.local.replace(tzinfo=None) == time.replace(microsecond=0)


@given(TIMES, ZONES)
def test_guano_says_the_same_in_every_zone(time, zone):
    written = time.replace(tzinfo=ZoneInfo(zone), microsecond=0)
    found = found_at("x.wav", HeaderTexts(guano=f"Timestamp: {written.isoformat()}"), None)
    assert found.utc == written


@given(st.text(max_size=60), st.text(max_size=80), st.text(max_size=60))
def test_no_text_is_an_error(name, comment, guano):
    header = HeaderTexts(f"Recorded at {comment}", f"Timestamp:{guano}", comment)
    found = found_at(name, header, ZoneInfo("Europe/Berlin"))
    assert found is None or found.source
