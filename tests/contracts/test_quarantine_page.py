"""docs/reference/quarantine.md lists the reason codes of the code, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.notes import NoteCode
from domain.reasons import ReasonCode

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "quarantine.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_code_has_one_row_and_there_is_no_other() -> None:
    assert sorted(code for code, _, _ in ROWS) == sorted(ReasonCode)


@pytest.mark.parametrize("code", ReasonCode)
def test_the_row_of_a_code_has_its_short_name_and_its_meaning(code: ReasonCode) -> None:
    assert (code.value, code.words, code.meaning) in ROWS


def test_codes_fit_their_column_and_people_can_tell_them_apart() -> None:
    assert max(map(len, ReasonCode)) <= 40
    assert len({code.words for code in ReasonCode}) == len(ReasonCode)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in ReasonCode)


def test_the_kinds_of_bad_rows_in_the_page_on_datasets_are_short_names_of_codes() -> None:
    page = (DOCS / "howto" / "datasets.md").read_text(encoding="utf-8")
    table = "|" + page.split("## Rows that cannot be used")[1].partition("\n|")[2].split("\n\n")[0]
    kinds = [kind for row in table.splitlines()[2:] for kind in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert kinds
    assert set(kinds) <= {code.words for code in ReasonCode}


def test_every_note_has_one_row_with_what_it_counts() -> None:
    rows = re.findall(r"^\| \*\*(\w+)\*\* \| (\w+)s \|", PAGE, re.MULTILINE)
    assert rows == [(code.value, code.unit) for code in NoteCode]
