"""A database that restarts ends no command."""

from __future__ import annotations

import pytest

from db.engine import DatabaseUnusable
from orchestrator.waiting import OutageTolerance


def test_a_database_away_for_a_while_is_told_once_and_for_long_it_is_an_error() -> None:
    said: list[str] = []
    now_s = [0.0]
    outages = OutageTolerance(said.append, clock=lambda: now_s[0])
    for at_s in (0.0, 100.0, 299.0):
        now_s[0] = at_s
        with outages.tolerated():
            raise DatabaseUnusable("database x: refused")
    assert said == ["database x: refused; waiting for it"]
    now_s[0] = 301.0
    with pytest.raises(DatabaseUnusable), outages.tolerated():
        raise DatabaseUnusable("database x: refused")


def test_one_that_came_back_has_all_of_its_time_again() -> None:
    now_s = [0.0]
    outages = OutageTolerance(lambda _: None, clock=lambda: now_s[0])
    for at_s in (0.0, 400.0):
        now_s[0] = at_s
        with outages.tolerated():
            raise DatabaseUnusable("away")
        with outages.tolerated():
            pass
