"""Place, date and time are parsed from the formats that people use; other text is reported as unclear."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.dataset.layouts.place_and_time import MetadataColumns, metadata_of
from tasks.dataset.shards.metadata import UNKNOWN, Metadata, as_numbers

AT = MetadataColumns(latitude=0, longitude=1, date=2, month=3, time=4, hour=5)


def parse(**cells: str) -> tuple[Metadata, tuple[str, ...]]:
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
def test_the_month_of_a_date_is_parsed(date: str, month: int | None):
    found, unclear = parse(date=date)
    assert (found.month, unclear) == (month, ())


@pytest.mark.parametrize(
    "date", ["2021-13-01", "2021-05-32", "05/06/2021", "13.13.2021", "yesterday", "3021-05-30", "٢٠٢١-05-30", "5"]
)
def test_an_invalid_or_ambiguous_date_is_unclear(date: str):
    found, unclear = parse(date=date)
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
def test_a_time_of_day_is_parsed(time: str, hour: float | None):
    assert parse(time=time) == (UNKNOWN._replace(hour=hour), ())


@pytest.mark.parametrize("time", ["24:00", "6:60", "13:00 pm", "0:30 am", "early", "xx:xx", "3.5", "6:1"])
def test_an_invalid_time_is_unclear(time: str):
    assert parse(time=time) == (UNKNOWN, (f"time {time!r}",))


def test_a_time_in_the_date_cell_counts_unless_it_is_midnight_or_a_time_column_has_a_value():
    assert parse(date="2021-05-30 06:30")[0].hour == 6.5
    assert parse(date="2021-05-30 00:00:00")[0].hour is None
    assert parse(date="2021-05-30 06:30", time="7:00")[0].hour == 7.0
    assert parse(date="2021-05-30 06:30", hour="8.5")[0].hour == 8.5


@pytest.mark.parametrize(("hour", "found"), [("0", 0.0), ("23.5", 23.5), ("6,5", 6.5)])
def test_an_hour_is_parsed_as_a_number(hour: str, found: float):
    assert parse(hour=hour) == (UNKNOWN._replace(hour=found), ())


@pytest.mark.parametrize("cell", ["24", "-1", "nan ", "inf", "1e999", "6_0"])
def test_an_hour_outside_the_day_is_unclear_or_unknown(cell: str):
    assert parse(hour=cell)[0] == UNKNOWN


@pytest.mark.parametrize(("month", "found"), [("1", 1), ("12", 12), ("05", 5), ("6.0", 6)])
def test_a_month_is_parsed_as_a_whole_number(month: str, found: int):
    assert parse(month=month) == (UNKNOWN._replace(month=found), ())


@pytest.mark.parametrize("month", ["0", "13", "5.5", "May"])
def test_a_month_outside_1_to_12_is_unclear(month: str):
    assert parse(month=month) == (UNKNOWN, (f"month {month!r}",))


def test_the_month_of_a_date_wins_over_the_month_column():
    assert parse(date="2021-05-30", month="7")[0].month == 5
    assert parse(date="2021-00-00", month="7")[0].month == 7


def test_coordinates_are_parsed_with_a_decimal_point_or_comma():
    assert parse(latitude="52.5", longitude="-13,25") == (UNKNOWN._replace(latitude=52.5, longitude=-13.25), ())


@pytest.mark.parametrize("cell", ["999", "-90.001", "1e9", "52° N", "1_0", "Infinity"])
def test_an_invalid_latitude_makes_only_the_place_unknown(cell: str):
    found, unclear = parse(latitude=cell, longitude="13", month="5")
    assert found == UNKNOWN._replace(month=5)
    assert unclear == (f"latitude {cell!r}",)


@pytest.mark.parametrize(("latitude", "longitude"), [("52", ""), ("", "13"), ("0", "0.0"), ("NaN", "?")])
def test_a_single_coordinate_and_coordinates_of_zero_are_an_unknown_place(latitude: str, longitude: str):
    assert parse(latitude=latitude, longitude=longitude) == (UNKNOWN, ())


def test_a_place_on_the_equator_is_known():
    assert parse(latitude="0", longitude="-78.5")[0] == UNKNOWN._replace(latitude=0.0, longitude=-78.5)


@given(st.lists(st.text() | st.from_regex(r"[0-9:./+-]{0,14}"), min_size=6, max_size=6))
def test_parsed_values_are_within_their_limits_for_random_cells(cells: list[str]):
    found, unclear = metadata_of(cells, AT)
    numbers = as_numbers(found)
    for number, (low, high) in zip(numbers, [(-90, 90), (-180, 180), (1, 12), (0, 24)], strict=True):
        assert number != number or low <= number <= high
    assert (found.latitude is None) == (found.longitude is None)
    assert len(unclear) <= len(cells)
