"""Names of tables of single recordings: safe on every file system, and no two alike."""

from __future__ import annotations

import pytest

from tasks.detections.file_names import FileNames


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("site a/2026/Wren 1.wav", "site a/2026/Wren 1.wav"),
        ("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd"),
        ("/etc/passwd", "~/etc/passwd"),
        ("a//b/.", "a/~/b/%2E"),
        ("a\\b:c*?.wav", "a%5Cb%3Ac%2A%3F.wav"),
        ("a\tb\nc", "a%09b%0Ac"),
        ("ends with a dot./ x ", "ends with a dot%2E/ x%20"),
        ("con/NUL.wav/com1", "~con/~NUL.wav/~com1"),
        ("100%/a~b", "100%25/a%7Eb"),
        ("a.wav.csv/b.wav", "a.wav.csv~/b.wav"),
        ("été/鳥.wav", "été/鳥.wav"),
        ("caf\udce9", "caf%ED%B3%A9"),
    ],
)
def test_a_name_mirrors_the_uri_and_stays_below_its_folder(uri, name):
    assert FileNames().name_of(uri) == name


def test_names_that_differ_only_by_case_or_normal_form_get_a_digest():
    names = FileNames()
    assert names.name_of("a/Wren.wav") == "a/Wren.wav"
    assert names.name_of("A/wren.WAV").startswith("A/wren.WAV~")
    assert names.name_of("e\u0301") == "e\u0301"
    assert names.name_of("\u00e9").startswith("\u00e9~")


def test_long_names_are_cut_and_stay_apart():
    names = FileNames()
    found = [names.name_of(f"{'鳥' * 300}{end}/x.wav") for end in ("a", "b")] + [names.name_of("d/" * 2000 + "x.wav")]
    assert len(set(found)) == 3
    assert all(len(part.encode()) <= 200 for name in found for part in name.split("/"))
    assert all(len(name.encode()) <= 1000 for name in found)


def test_ten_thousand_names_get_no_digest_without_need():
    names = FileNames()
    assert [uri for uri in (f"site/{number}.wav" for number in range(10_000)) if names.name_of(uri) != uri] == []
