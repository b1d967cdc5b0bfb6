"""Columns and cells, and the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.dataset.layouts.columns import MEANINGS, SPLIT_WORDS, columns, fold_of, name_of, secondary_of
from tasks.dataset.layouts.layout import BadRowError

DOCS = Path(__file__).resolve().parents[4] / "docs" / "howto" / "datasets.md"


def documented(first: str) -> tuple[str, ...]:
    """The words in backticks of the second cell in the table row that begins so."""
    (cell,) = re.findall(rf"^\| {first} \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return tuple(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("meaning", MEANINGS)
def test_the_page_lists_each_column_in_the_order_it_is_preferred(meaning: str):
    assert documented(meaning) == MEANINGS[meaning]


@pytest.mark.parametrize("side", ["train", "valid", "test"])
def test_the_page_lists_each_word_for_a_side(side: str):
    assert documented(side) == tuple(word for word, found in SPLIT_WORDS.items() if found == side)


def test_the_primary_label_is_preferred_to_other_names_of_a_species():
    header = ["scientific_name", "primary_label", "url", "filename", "author"]
    found = columns(header)
    assert found is not None
    assert (header[found.label], header[found.path]) == ("primary_label", "filename")


@pytest.mark.parametrize("header", [[], ["path"], ["label"], ["url", "label"], ["path", "target"]])
def test_a_header_without_path_or_label_has_no_columns(header: list[str]):
    assert columns(header) is None


@pytest.mark.parametrize("text", ["1.5", "one", "-1", "1e3", "12345", "\u0661", "1_0"])
def test_a_fold_is_a_plain_whole_number(text: str):
    with pytest.raises(BadRowError, match="fold is not a number"):
        fold_of(text)


@pytest.mark.parametrize("text", ["", " ", "Unknown", "N/A", "nan", "-", "anonymous"])
def test_nobody_is_no_author(text: str):
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
def test_secondary_labels_are_read_and_the_first_label_is_not_among_them(text: str, expected: tuple[str, ...]):
    assert secondary_of(text, "wren") == expected


def test_a_name_with_what_no_database_takes_is_escaped():
    assert name_of("B\0ob  Dylan") == "B\\x00ob Dylan"
    assert name_of("caf\udce9") == "caf\\xe9"
