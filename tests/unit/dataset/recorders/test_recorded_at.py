"""When recordings were made, from names and headers of recorders, with known answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from domain.errors import UsageError
from tasks.audio.containers.header_texts import NO_TEXTS, HeaderTexts, header_texts
from tasks.dataset.recorders.clocks import clock_of, clock_texts, guano_position
from tasks.dataset.recorders.recorded_at import TimeDoubt, later, recorded_at, time_warnings, zone_of
from tests.recorder_files import AUDIOMOTH, GUANO, comment, guano, samples, wav, write

NEW_YORK, BERLIN, KOLKATA = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")


def moth(time: str) -> HeaderTexts:
    return HeaderTexts(comment=f"Recorded at {time} by AudioMoth 24E1440361F0A5C2 at gain setting 2")


def stamp(text: str) -> HeaderTexts:
    return HeaderTexts(guano=f"GUANO|Version: 1.0\nTimestamp: {text}")


def found_at(name, header, zone):
    """The time of a recording; None without a clock. What a prediction keeps of the header must be enough."""
    clock = clock_of(name, clock_texts(header))
    assert clock == clock_of(name, header)
    return clock and recorded_at(clock, zone)


@pytest.mark.parametrize(
    ("name", "header", "utc", "local", "zone", "source"),
    [
        (
            "5A3F0B10.WAV",
            NO_TEXTS,
            "2017-12-24T02:04:00",
            "2017-12-24T02:04:00+00:00",
            "name",
            "AudioMoth hexadecimal name",
        ),
        (
            "a/20201215_002255.WAV",
            HeaderTexts(AUDIOMOTH),
            "2020-12-15T00:22:55",
            "2020-12-14T19:22:55-05:00",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("19:22:55 14/12/2020 (UTC)"),
            "2020-12-14T19:22:55",
            "2020-12-14T19:22:55+00:00",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("19:22:55 14/12/2020"),
            "2020-12-14T19:22:55",
            "2020-12-14T19:22:55+00:00",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("01:00:00 15/12/2020 (UTC+5:30)"),
            "2020-12-14T19:30:00",
            "2020-12-15T01:00:00+05:30",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("01:00:00 15/12/2020 (UTC-0:30)"),
            "2020-12-15T01:30:00",
            "2020-12-15T01:00:00-00:30",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("01:00:00 15/12/2020 (UTC+5: 5)"),
            "2020-12-14T19:55:00",
            "2020-12-15T01:00:00+05:05",
            "header",
            "AudioMoth comment",
        ),
        (
            "x.wav",
            moth("01:00:00.250 15/12/2020 (UTC)"),
            "2020-12-15T01:00:00.250000",
            "2020-12-15T01:00:00.250000+00:00",
            "header",
            "AudioMoth comment",
        ),
        ("x.wav", HeaderTexts(guano=GUANO), "2020-12-15T00:22:55", "2020-12-14T19:22:55-05:00", "header", "GUANO"),
        ("x.wav", stamp("2020-12-14 19:22:55Z"), "2020-12-14T19:22:55", "2020-12-14T19:22:55+00:00", "header", "GUANO"),
        (
            "x.wav",
            stamp("2020-12-14T19:22:55.1+0530"),
            "2020-12-14T13:52:55.100000",
            "2020-12-14T19:22:55.100000+05:30",
            "header",
            "GUANO",
        ),
        ("S_20201214_192255.wav", NO_TEXTS, None, "2020-12-14T19:22:55", "", "Song Meter name"),
        ("S-4_0+1_20201214$192255.wav", NO_TEXTS, None, "2020-12-14T19:22:55", "", "Song Meter name"),
        ("20201214_192255.wav", NO_TEXTS, None, "2020-12-14T19:22:55", "", "name"),
        ("20201214_192255T.WAV", NO_TEXTS, None, "2020-12-14T19:22:55", "", "name"),
        ("24F3190361DA3578_20201214_192255.WAV", NO_TEXTS, None, "2020-12-14T19:22:55", "", "AudioMoth name"),
        ("x.wav", stamp("2020-12-14T19:22:55"), None, "2020-12-14T19:22:55", "", "GUANO"),
        ("x.wav", HeaderTexts(bext="2020:12:14 19-22-55"), None, "2020-12-14T19:22:55", "", "Broadcast Wave"),
        ("OWL_1_2022-07-19_T00-00-00.WAV", NO_TEXTS, None, "2022-07-19T00:00:00", "", "OwlSense name"),
        (
            "SwiftOne_20220719_000000_-0400.wav",
            NO_TEXTS,
            "2022-07-19T04:00:00",
            "2022-07-19T00:00:00-04:00",
            "name",
            "Swift name",
        ),
        (
            "20230521T043000+1000_REC_-27.38+152.88.flac",
            NO_TEXTS,
            "2023-05-20T18:30:00",
            "2023-05-21T04:30:00+10:00",
            "name",
            "BAR name",
        ),
        ("20230521T043000Z.flac", NO_TEXTS, "2023-05-21T04:30:00", "2023-05-21T04:30:00+00:00", "name", "BAR name"),
    ],
)
def test_each_recorder_is_read_without_an_option(name, header, utc, local, zone, source):
    found = found_at(name, header, None)
    assert found.utc == (utc and datetime.fromisoformat(utc + "+00:00"))
    assert (found.local.isoformat(), found.zone, found.source) == (local, zone, source)
    assert found.doubt == (TimeDoubt.NO_ZONE if utc is None else TimeDoubt.NONE)


def test_the_option_places_a_clock_without_a_zone():
    found = found_at("S_20201215_005255.wav", NO_TEXTS, KOLKATA)
    assert found.utc == datetime(2020, 12, 14, 19, 22, 55, tzinfo=UTC)
    assert (found.local.isoformat(), found.zone) == ("2020-12-15T00:52:55+05:30", "option")


def test_the_option_does_not_move_a_clock_with_a_zone_but_gives_the_local_time():
    found = found_at("x.wav", moth("19:22:55 14/12/2020 (UTC)"), KOLKATA)
    assert found.utc == datetime(2020, 12, 14, 19, 22, 55, tzinfo=UTC)
    assert (found.local.isoformat(), found.zone) == ("2020-12-15T00:52:55+05:30", "header")


def test_the_header_wins_over_the_name_and_a_text_with_a_zone_over_one_without():
    name = "SwiftOne_20220719_000000_-0400.wav"
    assert found_at(name, stamp("2022-07-19T01:00:00Z"), None).source == "GUANO"
    assert found_at(name, stamp("2022-07-19T01:00:00"), None).source == "Swift name"
    assert found_at("S_20220719_000000.wav", stamp("2022-07-19T01:00:00"), None).source == "GUANO"
    assert found_at("S_20220719_000000.wav", HeaderTexts(bext="2023-01-01 00:00:00"), None).source == "Song Meter name"


@pytest.mark.parametrize(
    ("name", "zone", "utc", "local", "doubt"),
    [
        ("S_20231029_013000.wav", BERLIN, "2023-10-28T23:30:00", "2023-10-29T01:30:00+02:00", TimeDoubt.NONE),
        ("S_20231029_023000.wav", BERLIN, "2023-10-29T00:30:00", "2023-10-29T02:30:00+02:00", TimeDoubt.TWICE),
        ("S_20231029_033000.wav", BERLIN, "2023-10-29T02:30:00", "2023-10-29T03:30:00+01:00", TimeDoubt.NONE),
        ("S_20230326_013000.wav", BERLIN, "2023-03-26T00:30:00", "2023-03-26T01:30:00+01:00", TimeDoubt.NONE),
        ("S_20230326_023000.wav", BERLIN, "2023-03-26T01:30:00", "2023-03-26T03:30:00+02:00", TimeDoubt.SKIPPED),
        ("S_20230326_030000.wav", BERLIN, "2023-03-26T01:00:00", "2023-03-26T03:00:00+02:00", TimeDoubt.NONE),
        ("S_20211107_010000.wav", NEW_YORK, "2021-11-07T05:00:00", "2021-11-07T01:00:00-04:00", TimeDoubt.TWICE),
        ("S_20210314_020000.wav", NEW_YORK, "2021-03-14T07:00:00", "2021-03-14T03:00:00-04:00", TimeDoubt.SKIPPED),
        (
            "S_20231029_023000.wav",
            timezone(timedelta(hours=1)),
            "2023-10-29T01:30:00",
            "2023-10-29T02:30:00+01:00",
            TimeDoubt.NONE,
        ),
        ("S_20230101_000000.wav", BERLIN, "2022-12-31T23:00:00", "2023-01-01T00:00:00+01:00", TimeDoubt.NONE),
        ("S_20240229_235959.wav", NEW_YORK, "2024-03-01T04:59:59", "2024-02-29T23:59:59-05:00", TimeDoubt.NONE),
    ],
)
def test_both_days_on_which_clocks_change_midnight_and_the_leap_day(name, zone, utc, local, doubt):
    found = found_at(name, NO_TEXTS, zone)
    assert found.utc == datetime.fromisoformat(utc + "+00:00")
    assert (found.local.isoformat(), found.doubt) == (local, doubt)


@pytest.mark.parametrize(
    "name",
    [
        "S_20230229_120000.wav",
        "S_20230521_240000.wav",
        "S_20230521_236000.wav",
        "S_20231301_120000.wav",
        "S_00000101_000000.wav",
        "XC694204.ogg",
        "20230521.wav",
        "60123456.wav",
        "DEADBEEF.wav",
        "00000012.wav",
        "wren.wav",
        "",
        ".wav",
        "1.5.wav",
        "20230521_043000_003.wav",
        "\u0662\u0660\u0662\u0663\u0660\u0665\u0662\u0661_043000.wav",
    ],
)
def test_a_name_without_a_time_that_exists_has_none(name):
    assert found_at(name, NO_TEXTS, BERLIN) is None


@pytest.mark.parametrize(
    "header",
    [
        moth("19:22:55 29/02/2023 (UTC)"),
        moth("24:00:00 01/03/2023 (UTC)"),
        stamp("2023-02-29T00:00:00Z"),
        stamp("yesterday"),
        stamp(""),
        stamp("2020-12-14"),
        HeaderTexts(guano="Timestamp"),
        HeaderTexts(bext="0000-00-00 00:00:00"),
        HeaderTexts(comment="Recorded at home"),
        stamp("9999-12-31T23:59:59-14:00"),
        stamp("0001-01-01T00:00:00+14:00"),
    ],
)
def test_a_header_without_a_time_that_exists_leaves_the_name(header):
    assert found_at("wren.wav", header, None) is None
    assert found_at("S_20230521_043000.wav", header, None).source == "Song Meter name"


def test_an_unreadable_zone_in_a_header_is_no_zone():
    assert found_at("x.wav", moth("19:22:55 14/12/2020 (UTC+99)"), None).doubt == TimeDoubt.NO_ZONE


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("19700101_000312.WAV", NO_TEXTS),
        ("00000E10.WAV", NO_TEXTS),
        ("x.WAV", moth("00:03:12 01/01/1970 (UTC)")),
        ("x.WAV", moth("19:03:12 31/12/1969 (UTC-5)")),
    ],
)
def test_a_clock_that_was_never_set_gives_no_time(name, header):
    found = found_at(name, header, BERLIN)
    assert (found.utc, found.local, found.zone, found.doubt) == (None, None, "", TimeDoubt.CLOCK_UNSET)


def test_whole_files_are_read(tmp_path):
    path = write(tmp_path / "20201215_002255.WAV", wav(comment(AUDIOMOTH), samples()))
    assert found_at(path.name, header_texts(path), None).local.isoformat() == "2020-12-14T19:22:55-05:00"
    path = write(tmp_path / "SMM_20201214_192255.wav", wav(samples(), guano(GUANO)))
    assert found_at(path.name, header_texts(path), None).source == "GUANO"
    assert guano_position(header_texts(path)) == (44.1234, -72.5)


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "91 0", "0 181", "nan nan", "a b", "0 0"])
def test_a_position_that_is_not_on_earth_is_none(text):
    assert guano_position(HeaderTexts(guano=f"Loc Position: {text}")) is None


def test_a_later_time_crosses_the_days_on_which_clocks_change():
    assert later(datetime(2023, 10, 29, 2, 30, tzinfo=BERLIN), 3600).isoformat() == "2023-10-29T02:30:00+01:00"
    assert later(datetime(2023, 10, 29, 2, 30), 3600).isoformat() == "2023-10-29T03:30:00"  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "hours"), [("+05:30", 5.5), ("-0400", -4), ("UTC", 0), ("Z", 0), ("utc+2", 2), (" Asia/Kolkata ", 5.5)]
)
def test_the_option_is_a_name_or_an_offset(text, hours):
    assert zone_of(text).utcoffset(datetime(2023, 1, 1)) == timedelta(hours=hours)  # noqa: DTZ001


@pytest.mark.parametrize(
    "text", ["", " ", "Europe", "../UTC", "/etc/passwd", "localtime", "Mars/Base", "+15", "5", "\0", "a" * 10_000]
)
def test_an_unknown_zone_is_refused_in_a_sentence(text):
    with pytest.raises(UsageError, match=r"^time zone .{0,70} is unknown; use a name such as Europe/Berlin"):
        zone_of(text)


def test_every_doubt_has_a_sentence_with_its_count():
    sentences = time_warnings(dict.fromkeys(TimeDoubt, 1))
    assert len(sentences) == len(TimeDoubt) - 1
    assert all(sentence.startswith("1 recording: ") for sentence in sentences)
    assert time_warnings({TimeDoubt.NONE: 5, TimeDoubt.TWICE: 0}) == []


def test_what_is_kept_of_a_header_is_short_and_holds_nothing_else():
    header = HeaderTexts(
        comment=f"{AUDIOMOTH} {'x' * 10_000}", guano=f"{GUANO}Note: {'y' * 10_000}", bext="2023-01-01 00:00:00"
    )
    assert clock_texts(header) == HeaderTexts(
        "Recorded at 19:22:55 14/12/2020 (UTC-5) by ", "Timestamp: 2020-12-14T19:22:55-05:00", "2023-01-01 00:00:00"
    )
    hostile = HeaderTexts(
        f"Recorded at 01:00:00.{'1' * 10_000} 15/12/2020 (UTC) by ",
        f"Timestamp: 2020-12-14T19:22:55{' ' * 10_000}Z",
        "x",
    )
    assert clock_texts(hostile) == NO_TEXTS
