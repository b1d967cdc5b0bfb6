"""Columns are found and cells are parsed as the page docs/howto/datasets.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.dataset.layouts.columns import MEANINGS, SPLIT_WORDS, columns, fold_of, name_of, secondary_of
from tasks.dataset.layouts.layout import UnusableRowError

DOCS = Path(__file__).resolve().parents[4] / "docs" / "howto" / "datasets.md"


def documented(first: str) -> tuple[str, ...]:
    """Return the words in backticks in the second cell of the table row that begins with `first`."""
    (cell,) = re.findall(rf"^\| {first} \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return tuple(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("meaning", MEANINGS)
def test_the_page_lists_the_names_of_each_column_in_their_order(meaning: str):
    assert documented(meaning) == MEANINGS[meaning]


@pytest.mark.parametrize("subset", ["train", "valid", "test"])
def test_the_page_lists_the_words_for_each_subset(subset: str):
    assert documented(subset) == tuple(word for word, found in SPLIT_WORDS.items() if found == subset)


def test_the_column_primary_label_is_preferred_to_scientific_name():
    header = ["scientific_name", "primary_label", "url", "filename", "author"]
    found = columns(header)
    assert found is not None
    assert (header[found.label], header[found.path]) == ("primary_label", "filename")


@pytest.mark.parametrize("header", [[], ["path"], ["label"], ["url", "label"], ["path", "target"]])
def test_a_header_without_a_path_or_label_column_is_refused(header: list[str]):
    assert columns(header) is None


@pytest.mark.parametrize("text", ["1.5", "one", "-1", "1e3", "12345", "\u0661", "1_0"])
def test_a_fold_that_is_not_a_plain_whole_number_is_refused(text: str):
    with pytest.raises(UnusableRowError, match="fold is not a number"):
        fold_of(text)


@pytest.mark.parametrize("text", ["", " ", "Unknown", "N/A", "nan", "-", "anonymous"])
def test_a_placeholder_is_not_an_author(text: str):
    assert name_of(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", ()),
        ("['']", ()),
        ("['amerob', 'wren']", ("amerob",)),
        ('["Anna\'s hummingbird"]', ("Anna's hummingbird",)),
        ("robin", ("robin",)),
        ("robin;wren;robin|owl", ("robin", "owl")),
    ],
)
def test_secondary_labels_are_parsed_without_the_primary_label(text: str, expected: tuple[str, ...]):
    assert secondary_of(text, "wren") == expected


def test_unprintable_characters_in_a_name_are_escaped():
    assert name_of("B\0ob  Dylan") == "B\\x00ob Dylan"
    assert name_of("caf\udce9") == "caf\\xe9"
