"""Where and when, as people write it down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.layouts.circumstances import MetadataColumns, metadata_of
from tasks.dataset.shards.metadata import UNKNOWN, Metadata, as_numbers

AT = MetadataColumns(latitude=0, longitude=1, date=2, month=3, time=4, hour=5)


def said(**cells: str) -> tuple[Metadata, tuple[str, ...]]:
    return metadata_of([cells.get(name, "") for name in AT._fields], AT)


@pytest.mark.parametrize(
    ("date", "month"),
    [
        ("2021-05-30", 5),
        ("2021/05/30", 5),
        ("2021.05.30", 5),
        ("20210530", 5),
        ("2021-05", 5),
        ("2021-05-00", 5),
        ("30.5.2021", 5),
        ("5.6.2021", 6),
        ("30/05/2021", 5),
        ("05/30/2021", 5),
        ("5/5/2021", 5),
        ("2021-05-30T06:15:00Z", 5),
        ("0000-00-00", None),
        ("2021-00-00", None),
        ("n/a", None),
        ("", None),
    ],
)
def test_a_dates_month_is_understood(date: str, month: int | None):
    found, unclear = said(date=date)
    assert (found.month, unclear) == (month, ())


@pytest.mark.parametrize(
    "date", ["2021-13-01", "2021-05-32", "05/06/2021", "13.13.2021", "yesterday", "3021-05-30", "٢٠٢١-05-30", "5"]
)
def test_a_date_that_makes_no_sense_or_two_senses_is_unclear(date: str):
    found, unclear = said(date=date)
    assert found.month is None
    assert unclear == (f"date {date!r}",)


@pytest.mark.parametrize(
    ("time", "hour"),
    [
        ("06:15", 6.25),
        ("6:15 am", 6.25),
        ("6.15 p.m.", 18.25),
        ("12:00 AM", 0.0),
        ("12:30pm", 12.5),
        ("18h30", 18.5),
        ("06:15:59", 6.25),
        ("00:00", 0.0),
        ("?", None),
    ],
)
def test_a_time_of_day_is_understood(time: str, hour: float | None):
    assert said(time=time) == (UNKNOWN._replace(hour=hour), ())


@pytest.mark.parametrize("time", ["24:00", "6:60", "13:00 pm", "0:30 am", "early", "xx:xx", "3.5", "6:1"])
def test_a_time_that_makes_no_sense_is_unclear(time: str):
    assert said(time=time) == (UNKNOWN, (f"time {time!r}",))


def test_a_time_behind_a_date_counts_unless_it_is_midnight_or_a_column_of_its_own_says_better():
    assert said(date="2021-05-30 06:30")[0].hour == 6.5
    assert said(date="2021-05-30 00:00:00")[0].hour is None
    assert said(date="2021-05-30 06:30", time="7:00")[0].hour == 7.0
    assert said(date="2021-05-30 06:30", hour="8.5")[0].hour == 8.5


@pytest.mark.parametrize(("hour", "found"), [("0", 0.0), ("23.5", 23.5), ("6,5", 6.5)])
def test_an_hour_is_a_number(hour: str, found: float):
    assert said(hour=hour) == (UNKNOWN._replace(hour=found), ())


@pytest.mark.parametrize("cell", ["24", "-1", "nan ", "inf", "1e999", "6_0"])
def test_an_hour_of_no_day_is_unclear_or_unknown(cell: str):
    assert said(hour=cell)[0] == UNKNOWN


@pytest.mark.parametrize(("month", "found"), [("1", 1), ("12", 12), ("05", 5), ("6.0", 6)])
def test_a_month_is_a_whole_number(month: str, found: int):
    assert said(month=month) == (UNKNOWN._replace(month=found), ())


@pytest.mark.parametrize("month", ["0", "13", "5.5", "May"])
def test_a_month_of_no_year_is_unclear(month: str):
    assert said(month=month) == (UNKNOWN, (f"month {month!r}",))


def test_a_date_wins_over_a_month():
    assert said(date="2021-05-30", month="7")[0].month == 5
    assert said(date="2021-00-00", month="7")[0].month == 7


def test_a_place_is_understood_with_a_point_or_a_comma():
    assert said(latitude="52.5", longitude="-13,25") == (UNKNOWN._replace(latitude=52.5, longitude=-13.25), ())


@pytest.mark.parametrize("cell", ["999", "-90.001", "1e9", "52° N", "1_0", "Infinity"])
def test_a_latitude_that_is_none_costs_the_place_and_nothing_else(cell: str):
    found, unclear = said(latitude=cell, longitude="13", month="5")
    assert found == UNKNOWN._replace(month=5)
    assert unclear == (f"latitude {cell!r}",)


@pytest.mark.parametrize(("latitude", "longitude"), [("52", ""), ("", "13"), ("0", "0.0"), ("NaN", "?")])
def test_half_a_place_and_a_place_of_zeros_are_unknown(latitude: str, longitude: str):
    assert said(latitude=latitude, longitude=longitude) == (UNKNOWN, ())


def test_a_place_on_the_equator_is_a_place():
    assert said(latitude="0", longitude="-78.5")[0] == UNKNOWN._replace(latitude=0.0, longitude=-78.5)


@given(st.lists(st.text() | st.from_regex(r"[0-9:./+-]{0,14}"), min_size=6, max_size=6))
def test_whatever_the_cells_say_what_is_known_is_within_its_bounds(cells: list[str]):
    found, unclear = metadata_of(cells, AT)
    numbers = as_numbers(found)
    for number, (low, high) in zip(numbers, [(-90, 90), (-180, 180), (1, 12), (0, 24)], strict=True):
        assert number != number or low <= number <= high
    assert (found.latitude is None) == (found.longitude is None)
    assert len(unclear) <= len(cells)
