"""Groups: declared, else the author, else the recording, and copies always together."""

from __future__ import annotations

import numpy as np
import pytest

from domain.digests import uniform
from tasks.dataset.split.groups import Coded, contradictions, groups


def named(number: int) -> str:
    """A recording's own group, when none is declared."""
    return np.array((0, number), np.uint64).tobytes().hex()


def final(numbers: list[int], declared: list[str | None]) -> list[str | None]:
    identities = np.array([(0, number) for number in numbers], np.uint64).reshape(-1, 2)
    return list(groups(identities, Coded.of(declared)))


def test_the_declared_group_wins_over_the_recording_itself():
    assert final([1, 2, 3], ["site", "Ann", None]) == ["site", "Ann", named(3)]


def test_exact_copies_join_their_authors_and_all_that_these_recorded():
    assert final([1, 2, 2, 3, 3, 4], ["Cy", "Cy", "Bo", "Bo", "Al", "Di"]) == ["Al", "Al", "Al", "Al", "Al", "Di"]


def test_copies_without_author_are_one_group():
    assert final([1, 1, 2], [None] * 3) == [named(1), named(1), named(2)]


def test_a_copy_without_author_joins_the_author_of_the_other_one():
    assert final([0xF1, 0xF1, 2], [None, "zoe", "zoe"]) == [named(0xF1)] * 3
    assert final([0xF1, 0xF1, 2], [None, "-", "-"]) == ["-"] * 3


def test_no_recordings_have_no_groups():
    assert final([], []) == []


def test_groups_are_numbered_without_gaps():
    found = groups(np.array([(0, n) for n in (5, 5, 6)], np.uint64), Coded.of(["b", "a", None]))
    assert sorted(set(found.codes.tolist())) == list(range(len(found.names)))
    assert list(found.names) == [found.names[number] for number in range(len(found.names))] == ["a", named(6)]


def test_a_long_chain_of_copies_ends_in_the_smallest_name():
    pairs = [(i, f"g{j:04d}") for i in range(2000) for j in (i, i + 1)][::-1]
    assert set(final([i for i, _ in pairs], [name for _, name in pairs])) == {"g0000"}


def test_copies_under_different_labels_are_found_whatever_the_order():
    random = np.random.default_rng(5)
    for _ in range(50):
        numbers, labels = random.integers(0, 12, 30).tolist(), [f"l{n}" for n in random.integers(0, 2, 30)]
        of_number = {
            number: {label for n, label in zip(numbers, labels, strict=True) if n == number} for number in numbers
        }
        expected = [row for row, number in enumerate(numbers) if len(of_number[number]) > 1]
        identities = np.array([(0, number) for number in numbers], np.uint64)
        assert contradictions(identities, Coded.of(labels)).tolist() == expected


def test_no_recordings_contradict_each_other():
    assert contradictions(np.zeros((0, 2), np.uint64), Coded.of([])).tolist() == []


def test_columns_of_unlike_length_are_refused():
    with pytest.raises(ValueError, match="not one each"):
        groups(np.zeros((1, 2), np.uint64), Coded.of([]))


def test_draws_are_even_and_their_parts_stay_apart():
    draws = [uniform(3, "group", str(i)) for i in range(4000)]
    assert all(0 <= draw < 1 for draw in draws)
    tenths = [sum(i / 10 <= draw < (i + 1) / 10 for draw in draws) for i in range(10)]
    assert all(abs(n - 400) < 100 for n in tenths)  # five standard deviations
    assert uniform(3, "ab", "c") != uniform(3, "a", "bc")
    assert uniform(3, "ab") != uniform(4, "ab")
    assert uniform(3, "caf\udce9") != uniform(3, "caf\u00e9")
