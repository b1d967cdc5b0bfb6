from __future__ import annotations

import pytest

from db.session import DatabaseUnusable
from tasks.stage import patiently


def failing(times: int, error: Exception) -> object:
    left = [error] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_a_database_that_comes_back_is_waited_for_with_growing_pauses() -> None:
    pauses: list[float] = []
    assert patiently(failing(4, DatabaseUnusable("away")), 60.0, sleep=pauses.append) == "answer"
    for pause_s, longest_s in zip(pauses, (0.25, 0.5, 1.0, 2.0), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


def test_one_that_stays_away_is_given_up_after_as_long_as_a_lease() -> None:
    pauses: list[float] = []
    with pytest.raises(DatabaseUnusable):
        patiently(failing(1000, DatabaseUnusable("away")), 10.0, sleep=pauses.append)
    assert 10.0 <= sum(pauses) < 16.0


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), ValueError("bug")])
def test_what_no_waiting_helps_is_not_waited_for(error: Exception) -> None:
    pauses: list[float] = []
    with pytest.raises(type(error)):
        patiently(failing(1, error), 10.0, OSError, sleep=pauses.append)
    assert pauses == []
