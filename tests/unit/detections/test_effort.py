"""Effort and detection history, with tables counted by hand."""

from __future__ import annotations

import csv
import io
import tracemalloc
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tasks.detections.effort import Effort, RecordingEffort

BERLIN = ZoneInfo("Europe/Berlin")
MAY_1, MAY_2 = date(2023, 5, 1), date(2023, 5, 2)


def tables(recordings, classes=("wren", "robin")):
    effort = Effort(classes)
    for recording in recordings:
        effort.add(recording)
    hours, history = io.StringIO(), io.StringIO()
    effort.write_effort(hours)
    effort.write_history(history)
    return hours.getvalue().splitlines()[1:], history.getvalue().splitlines()[1:]


def at(hour, minute=0, day=MAY_1, zone=UTC):
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)


def test_both_tables_have_headers_without_recordings():
    effort, history, file = Effort(["wren", "a,b"]), io.StringIO(), io.StringIO()
    effort.write_effort(file)
    effort.write_history(history)
    assert file.getvalue() == "site,date,recordings,seconds_analysed,seconds_unusable\n"
    assert history.getvalue() == 'site,date,wren,"a,b"\n'


def test_recordings_of_a_site_and_day_are_summed():
    detected = {"robin": [MAY_1]}
    recordings = [RecordingEffort("N", at(4), 60.0), RecordingEffort("N", at(5), 31.75, [(0.0, 1.25)], detected)]
    assert tables(recordings) == (["N,2023-05-01,2,90.500,1.250"], ["N,2023-05-01,0,1"])


def test_a_recording_across_midnight_is_divided_and_counts_once():
    crossing = RecordingEffort("N", at(23, 30), 3600.0, (), {"wren": [MAY_2]})
    effort, history = tables([crossing])
    assert effort == ["N,2023-05-01,1,1800.000,0.000", "N,2023-05-02,0,1800.000,0.000"]
    assert history == ["N,2023-05-01,0,0", "N,2023-05-02,1,0"]


def test_a_recording_that_ends_at_midnight_is_on_one_day():
    assert tables([RecordingEffort("N", at(23), 3600.0)])[0] == ["N,2023-05-01,1,3600.000,0.000"]


def test_a_recording_of_days_has_a_day_of_23_hours_when_clocks_are_put_forward():
    start = datetime(2023, 3, 25, 12, tzinfo=BERLIN)
    assert tables([RecordingEffort("N", start, 2 * 86_400.0)])[0] == [
        "N,2023-03-25,1,43200.000,0.000",
        "N,2023-03-26,0,82800.000,0.000",
        "N,2023-03-27,0,46800.000,0.000",
    ]


def test_a_recording_of_days_has_a_day_of_25_hours_when_clocks_are_put_back():
    start = datetime(2023, 10, 29, 0, tzinfo=BERLIN)
    assert tables([RecordingEffort("N", start, 25 * 3600 + 1.0)])[0] == [
        "N,2023-10-29,1,90000.000,0.000",
        "N,2023-10-30,0,1.000,0.000",
    ]


def test_a_local_time_without_a_zone_has_its_own_date():
    start = datetime(2023, 5, 1, 23, 59, 59)  # noqa: DTZ001
    assert tables([RecordingEffort("N", start, 2.0)])[0] == [
        "N,2023-05-01,1,1.000,0.000",
        "N,2023-05-02,0,1.000,0.000",
    ]


def test_a_day_without_a_second_analysed_is_empty_in_the_history():
    unusable = RecordingEffort("N", at(4), 60.0, [(0.0, 60.0)])
    unknown = RecordingEffort("N", at(4, day=MAY_2), 0.0)
    effort, history = tables([unusable, unknown])
    assert effort == ["N,2023-05-01,1,0.000,60.000", "N,2023-05-02,1,0.000,0.000"]
    assert history == ["N,2023-05-01,,", "N,2023-05-02,,"]


def test_unusable_seconds_are_on_the_day_on_which_they_are():
    lost = [(0.0, 15.0), (50.0, 70.0), (75.0, 600.0)]
    effort, history = tables([RecordingEffort("N", at(23, 59), 660.0, lost)])
    assert effort == ["N,2023-05-01,1,35.000,25.000", "N,2023-05-02,0,65.000,535.000"]
    assert history == ["N,2023-05-01,0,0", "N,2023-05-02,0,0"]
    history = tables([RecordingEffort("N", at(23, 59), 660.0, [(60.0, 660.0)])])[1]
    assert history == ["N,2023-05-01,0,0", "N,2023-05-02,,"]


def test_recordings_without_a_time_have_no_date_and_are_left_out_of_the_history():
    effort = Effort(["wren"])
    effort.add(RecordingEffort("N", None, 60.0, (), {"wren": []}))
    effort.add(RecordingEffort("", at(4), 1.0))
    file, history = io.StringIO(), io.StringIO()
    effort.write_effort(file)
    effort.write_history(history)
    assert file.getvalue().splitlines()[1:] == [",2023-05-01,1,1.000,0.000", "N,,1,60.000,0.000"]
    assert history.getvalue().splitlines()[1:] == [",2023-05-01,0"]


def test_the_order_of_recordings_changes_no_byte():
    recordings = [
        RecordingEffort(f'site "{n % 3}", é', at(n % 24, day=MAY_1 if n % 2 else MAY_2), n / 5, [(0.0, n / 11)])
        for n in range(100)
    ]
    assert tables(recordings) == tables(recordings[::-1])


def test_no_second_is_lost_in_the_division():
    recordings = [RecordingEffort("N", at(23, 59), 100 + n / 3, [(n, n + n / 7)]) for n in range(50)]
    rows = [row.split(",") for row in tables(recordings)[0]]
    assert sum(float(row[3]) for row in rows) == pytest.approx(
        sum(round(100 + n / 3, 3) - round(n / 7, 3) for n in range(50))
    )
    assert sum(float(row[4]) for row in rows) == pytest.approx(sum(round(n / 7, 3) for n in range(50)))


def test_memory_grows_with_sites_and_days_only():
    def peak(n):
        effort = Effort(["wren"])
        tracemalloc.start()
        for number in range(n):
            effort.add(RecordingEffort(f"s{number % 5}", at(4), 60.0))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(2000) < peak(20) + 10_000


def test_a_detection_of_an_unknown_class_is_an_error():
    with pytest.raises(KeyError):
        Effort(["wren"]).add(RecordingEffort("N", at(4), 1.0, (), {"rain": [MAY_1]}))


def test_a_site_with_a_carriage_return_is_one_field():
    effort, file = Effort(["wren"]), io.StringIO()
    effort.add(RecordingEffort("a\rb", at(4), 60.0))
    effort.write_effort(file)
    effort.write_history(history := io.StringIO())
    rows = [list(csv.reader(io.StringIO(each.getvalue(), newline="")))[1] for each in (file, history)]
    assert rows == [["a\rb", "2023-05-01", "1", "60.000", "0.000"], ["a\rb", "2023-05-01", "0"]]
