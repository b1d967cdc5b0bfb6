"""Times, sites, effort and history of detections, in the zone that the user names."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tasks.dataset.recorders.clocks import Clock
from tasks.dataset.recorders.sites import Site, Sites
from tasks.detections.detection_tables import TableOptions, TablesWritten, Threshold, write_tables
from tasks.detections.score_file import ScoredRecording
from tests.score_facts import score_facts

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
FACTS = score_facts("wren", "robin", "noise")
WREN, ROBIN, NOISE = np.eye(3, dtype=np.float32)
SILENT = np.zeros(3, np.float32)


def clock(text: str, offset_h: int | None = None, *, is_header: bool = False) -> Clock:
    offset = None if offset_h is None else timedelta(hours=offset_h)
    return Clock(datetime.fromisoformat(text), offset, "a recorder", is_header)


def recording(number: int, uri: str, at: Clock | None, scores, duration_s=None, **facts) -> ScoredRecording:
    scores = np.array(scores, np.float32).reshape(-1, 3)
    duration_s = 5.0 * len(scores) if duration_s is None else duration_s
    starts = np.arange(len(scores)) * 5.0
    return ScoredRecording(number, uri, f"/data/{uri}", duration_s, starts, scores, clock=at, **facts)


def written(folder: Path, recordings: list[ScoredRecording], **asked) -> TablesWritten:
    options = TableOptions("e", [Threshold(0.5, "default")] * 3, **asked)
    return write_tables(folder, FACTS, recordings, options)


def rows(folder: Path, name: str) -> list[list[str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def times(folder: Path) -> list[tuple[str, str, str]]:
    """UTC, local time and site of each detection."""
    return [(row[7], row[10], row[8]) for row in rows(folder, "detections.csv")]


def test_a_zone_places_times_without_one_and_moves_no_time_that_has_one(tmp_path):
    run = [
        recording(0, "n/a.wav", clock("2023-05-21T04:30:00", 0, is_header=True), [WREN]),
        recording(1, "n/b.wav", clock("2023-05-21T04:30:00"), [WREN]),
        recording(2, "c.wav", None, [WREN]),
    ]
    found = written(tmp_path, run)
    assert times(tmp_path) == [
        ("2023-05-21T04:30:00Z", "2023-05-21T04:30:00+00:00", "n"), ("", "2023-05-21T04:30:00", "n"), ("", "", "")
    ]  # fmt: skip
    assert found.time_warnings == (
        "1 recording: no time in name or header; the detection history leaves them out",
        "1 recording: local time without a zone, so UTC is unknown; name the zone: --timezone Europe/Berlin",
    )
    found = written(tmp_path, run, zone=BERLIN)
    assert times(tmp_path) == [
        ("2023-05-21T04:30:00Z", "2023-05-21T06:30:00+02:00", "n"),
        ("2023-05-21T02:30:00Z", "2023-05-21T04:30:00+02:00", "n"),
        ("", "", ""),
    ]
    assert len(found.time_warnings) == 1


def test_a_site_has_its_own_zone_and_name(tmp_path):
    sites = Sites({}, {"n": Site("Nordwald", zone=NEW_YORK)})
    run = [recording(n, f"{n_}/a.wav", clock("2023-01-10T23:00:00"), [WREN]) for n, n_ in enumerate("ns")]
    written(tmp_path, run, zone=BERLIN, sites=sites)
    assert times(tmp_path) == [
        ("2023-01-11T04:00:00Z", "2023-01-10T23:00:00-05:00", "Nordwald"),
        ("2023-01-10T22:00:00Z", "2023-01-10T23:00:00+01:00", "s"),
    ]


def test_recordings_that_no_row_of_the_sites_names_are_counted(tmp_path):
    sites = Sites({}, {"n": Site("Nordwald", is_listed=True)})
    run = [recording(n, f"{folder}/a.wav", None, [WREN]) for n, folder in enumerate("nsw")]
    [warning] = written(tmp_path, run, sites=sites, sites_file="sites.csv").warnings
    assert warning == "2 recordings without a row in sites.csv: the site is the name of the folder."
    assert written(tmp_path, run[:1], sites=sites, sites_file="sites.csv").warnings == ()
    assert written(tmp_path, run).warnings == ()


def test_effort_and_history_are_of_local_days(tmp_path):
    """Half past eleven in the evening in UTC is after midnight in Berlin, and evening in New York."""
    at = clock("2023-05-21T23:30:00", 0)
    run = [recording(0, "n/a.wav", at, [WREN, SILENT], duration_s=8.0), recording(1, "n/b.wav", at, [NOISE])]
    written(tmp_path, run, zone=BERLIN)
    assert rows(tmp_path, "effort.csv") == [["n", "2023-05-22", "2", "13.000", "0.000"]]
    assert rows(tmp_path, "detection_history.csv") == [["n", "2023-05-22", "1", "0"]]
    written(tmp_path, run, zone=NEW_YORK)
    assert rows(tmp_path, "effort.csv") == [["n", "2023-05-21", "2", "13.000", "0.000"]]
    assert (tmp_path / "detection_history.csv").read_text().startswith("site,date,wren,robin\n")


@pytest.mark.parametrize("merge_gap_s", [None, 0.0])
def test_detections_of_a_recording_across_midnight_are_on_their_own_days(tmp_path, merge_gap_s):
    at = clock("2023-05-21T23:59:50")
    run = [recording(0, "n/a.wav", at, [ROBIN, WREN, WREN, SILENT], duration_s=17.5)]
    written(tmp_path, run, merge_gap_s=merge_gap_s)
    assert rows(tmp_path, "effort.csv") == [
        ["n", "2023-05-21", "1", "10.000", "0.000"], ["n", "2023-05-22", "0", "7.500", "0.000"]
    ]  # fmt: skip
    assert rows(tmp_path, "detection_history.csv") == [["n", "2023-05-21", "1", "1"], ["n", "2023-05-22", "1", "0"]]


def test_midnight_is_the_zones_when_clocks_are_put_forward_meanwhile(tmp_path):
    """In Beirut in 2022 the hour after midnight was left out: a recording reached the next day at 01:00."""
    run = [recording(0, "n/a.wav", clock("2022-03-26T23:59:55"), [SILENT, WREN])]
    written(tmp_path, run, zone=ZoneInfo("Asia/Beirut"))
    assert rows(tmp_path, "effort.csv") == [
        ["n", "2022-03-26", "1", "5.000", "0.000"], ["n", "2022-03-27", "0", "5.000", "0.000"]
    ]  # fmt: skip
    assert rows(tmp_path, "detection_history.csv") == [["n", "2022-03-26", "0", "0"], ["n", "2022-03-27", "1", "0"]]


def test_both_days_on_which_clocks_change_are_warned_of(tmp_path):
    run = [
        recording(0, "n/a.wav", clock("2023-03-26T02:30:00"), [WREN]),
        recording(1, "n/b.wav", clock("2023-10-29T02:30:00"), [WREN]),
    ]
    found = written(tmp_path, run, zone=BERLIN)
    assert times(tmp_path) == [
        ("2023-03-26T01:30:00Z", "2023-03-26T03:30:00+02:00", "n"),
        ("2023-10-29T00:30:00Z", "2023-10-29T02:30:00+02:00", "n"),
    ]
    assert [sentence.partition(";")[0] for sentence in found.time_warnings] == [
        "1 recording: local time that exists twice, because clocks were put back",
        "1 recording: local time that does not exist, because clocks were put forward",
    ]


def test_what_was_not_analysed_is_no_absence(tmp_path):
    at = clock("2023-05-21T23:59:50", 0)
    lost = recording(0, "n/a.wav", at, [SILENT, SILENT], 20.0, is_quarantined=True, unusable=((10.0, 20.0),))
    missing = recording(1, "n/b.wav", clock("2023-05-23T00:00:00"), [], float("nan"), is_quarantined=True)
    written(tmp_path, [lost, missing])
    assert rows(tmp_path, "effort.csv") == [
        ["n", "2023-05-21", "1", "10.000", "0.000"],
        ["n", "2023-05-22", "0", "0.000", "10.000"],
        ["n", "2023-05-23", "1", "0.000", "0.000"],
    ]
    assert rows(tmp_path, "detection_history.csv") == [
        ["n", "2023-05-21", "0", "0"], ["n", "2023-05-22", "", ""], ["n", "2023-05-23", "", ""]
    ]  # fmt: skip


def test_an_unset_clock_is_no_time(tmp_path):
    found = written(tmp_path, [recording(0, "n/a.wav", clock("1970-01-01T00:00:09", 0), [WREN])])
    assert times(tmp_path) == [("", "", "n")]
    assert rows(tmp_path, "effort.csv") == [["n", "", "1", "5.000", "0.000"]]
    assert rows(tmp_path, "detection_history.csv") == []
    assert "the clock was not set" in found.time_warnings[0]


def test_the_metadata_name_the_zone_and_count_where_times_are_from(tmp_path):
    run = [
        recording(0, "a.wav", clock("2023-05-21T04:30:00", 0, is_header=True), [WREN]),
        recording(1, "b.wav", clock("2023-05-21T04:30:00"), [WREN]),
        recording(2, "c.wav", None, [WREN]),
    ]
    written(tmp_path, run, zone=BERLIN, sites_file="my sites.csv")
    facts = json.loads((tmp_path / "metadata.json").read_text("utf-8"))
    assert (facts["timezone"], facts["sites"]) == ("Europe/Berlin", "my sites.csv")
    assert facts["counts"]["by_time_source"] == {"header": 1, "name": 1, "none": 1}
    assert facts["counts"]["by_zone"] == {"header": 1, "option": 1}
    assert any("no time in name or header" in warning for warning in facts["warnings"])
