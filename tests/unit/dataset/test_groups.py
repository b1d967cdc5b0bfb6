"""Groups: declared, else the author, else the recording, and copies always together."""

from __future__ import annotations

import pytest

from tasks.dataset.split import drawn, groups, joined_groups


def test_the_declared_group_wins_then_the_author_then_the_recording_itself():
    assert groups(["d1", "d2", "d3"], ["Ann", "Ann", None], ["site", None, None]) == ["site", "Ann", "d3"]


def test_exact_copies_join_their_authors_and_all_that_these_recorded():
    digests = ["d1", "d2", "d2", "d3", "d3", "d4"]
    authors = ["Cy", "Cy", "Bo", "Bo", "Al", "Di"]
    assert groups(digests, authors, [None] * 6) == ["Al", "Al", "Al", "Al", "Al", "Di"]


def test_copies_without_author_are_one_group():
    assert groups(["d1", "d1", "d2"], [None] * 3, [None] * 3) == ["d1", "d1", "d2"]


def test_no_recordings_have_no_groups():
    assert groups([], [], []) == []


def test_a_long_chain_of_copies_ends_in_the_smallest_name():
    pairs = [(f"d{i}", name) for i in range(2000) for name in (f"g{i:04d}", f"g{i + 1:04d}")]
    assert set(joined_groups(reversed(pairs)).values()) == {"g0000"}


def test_columns_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="not one each"):
        groups(["d1"], [], [None])


def test_draws_are_even_and_their_parts_stay_apart():
    draws = [drawn(3, "group", str(i)) for i in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = [sum(i / 10 <= draw < (i + 1) / 10 for draw in draws) for i in range(10)]
    assert all(abs(n - 400) < 100 for n in tenths)  # five standard deviations
    assert drawn(3, "ab", "c") != drawn(3, "a", "bc")
    assert drawn(3, "ab") != drawn(4, "ab")
    assert drawn(3, "caf\udce9") != drawn(3, "caf\u00e9")
