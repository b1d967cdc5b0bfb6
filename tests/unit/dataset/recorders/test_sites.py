"""Tables of sites, and sites without a table."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from tasks.dataset.layouts.layout import LayoutError
from tasks.dataset.recorders.sites import Site, Sites, read_sites


def table(folder, text):
    path = folder / "sites.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("uri", "name"), [("a.wav", ""), ("north/a.wav", "north"), ("2023/nörth, east/a.wav", "nörth, east")]
)
def test_without_a_table_the_folder_is_the_site(uri, name):
    assert Sites().of(uri) == Site(name)


def test_a_site_is_found_by_the_name_of_its_folder_with_place_and_zone(tmp_path):
    rows = "site,Latitude,Longitude,Time Zone\nnorth,52.5,-13.4,Europe/Berlin\nsouth,,,+05:30\n"
    sites = read_sites(table(tmp_path, rows))
    assert sites.of("2023/north/a.wav") == Site("north", 52.5, -13.4, ZoneInfo("Europe/Berlin"), is_listed=True)
    assert sites.of("south/a.wav").zone.utcoffset(None) == timedelta(hours=5.5)
    assert sites.of("2023/west/a.wav") == Site("west")


def test_the_nearest_folder_wins_and_a_recording_wins_over_its_folder(tmp_path):
    rows = "recording,folder,site,lat,lon\n,2023,all,1,1\n,./2023/north/,N,2,2\n2023\\north\\a.wav,,special,3,3\n"
    sites = read_sites(table(tmp_path, rows))
    found = [
        sites.of(uri).name for uri in ("2023/x.wav", "2023/east/x.wav", "2023/north/deep/x.wav", "2023/north/a.wav")
    ]
    assert found == ["all", "all", "N", "special"]
    assert sites.of("2024/x.wav") == Site("2024")


def test_a_row_without_a_site_name_keeps_the_folder_as_the_site(tmp_path):
    rows = "recording,lat,lon\n2023/north/a.wav,1,2\nb.wav,3,4\n"
    sites = read_sites(table(tmp_path, rows))
    assert sites.of("2023/north/a.wav") == Site("north", 1.0, 2.0, is_listed=True)
    assert sites.of("b.wav").name == ""


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            "lat,lon\n1,2\n",
            "sites.csv has none of the columns site, folder and recording; it has lat, lon; rename one of them",
        ),
        ("site,lat,lon\nN,1,2\n,1,2\n", "line 3 of sites.csv names neither a site nor a folder nor a recording"),
        ("site,lat,lon\nN,1,2\nN,1,3\n", "line 3 of sites.csv names 'N' again, as line 2 does; keep one of them"),
        ("site,lat,lon\nN,91,2\n", "line 2 of sites.csv has latitude '91'; write degrees such as 52.5 and -13.4"),
        (
            "site,lat,lon\nN,52°30',2\n",
            'line 2 of sites.csv has latitude "52°30\'"; write degrees such as 52.5 and -13.4',
        ),
        ("site,lat,lon\nN,52,\n", "line 2 of sites.csv has only one of latitude and longitude; write both or none"),
        ("site,lat\nN,52\n", "line 2 of sites.csv has only one of latitude and longitude; write both or none"),
        (
            "site,timezone\nN,Mars\n",
            "line 2 of sites.csv is not usable: time zone 'Mars' is unknown; "
            "use a name such as Europe/Berlin, or an offset such as +01:00",
        ),
        ("site,lat,lon\nN,1,2,3\n", "line 2 of sites.csv cannot be read: 4 fields where the header has 3"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_in_one_sentence(tmp_path, rows, sentence):
    with pytest.raises(LayoutError) as caught:
        read_sites(table(tmp_path, rows))
    assert str(caught.value) == sentence
