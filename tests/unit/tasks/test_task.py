from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Reject

from db.engine import DatabaseUnusable
from db.ledger.claims import ItemClaim, Outcome, StripFacts
from domain.states import State
from tasks.runtime import task
from tasks.runtime.messages import JobMessage
from tasks.runtime.sources import Sources
from tasks.runtime.task import Make, StripFile, call_with_retries


def failing(times: int, error: Exception) -> object:
    left = [error] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_calls_are_repeated_with_growing_pauses_until_the_database_is_back() -> None:
    pauses: list[float] = []
    assert call_with_retries(failing(4, DatabaseUnusable("away")), 60.0, sleep=pauses.append) == "answer"
    for pause_s, longest_s in zip(pauses, (0.25, 0.5, 1.0, 2.0), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


def test_a_database_that_stays_away_is_given_up_after_a_lease() -> None:
    pauses: list[float] = []
    with pytest.raises(DatabaseUnusable):
        call_with_retries(failing(1000, DatabaseUnusable("away")), 10.0, sleep=pauses.append)
    assert 10.0 <= sum(pauses) < 16.0


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), ValueError("bug")])
def test_a_missing_file_is_not_waited_for(error: Exception) -> None:
    pauses: list[float] = []
    with pytest.raises(type(error)):
        call_with_retries(failing(1, error), 10.0, OSError, sleep=pauses.append)
    assert pauses == []


def claim(number: int, *, is_made: bool = False) -> ItemClaim:
    return ItemClaim(number, 1, "/data", f"{number}.ogg", "", 0, 0, 0, 0, 1, "{}", is_on_trust=False, is_made=is_made)


def outcomes(
    monkeypatch: pytest.MonkeyPatch,
    claims: list[ItemClaim],
    make: Make,
    put: Callable[[str, bytes], int],
    lost: frozenset[int] = frozenset(),
) -> list[Outcome]:
    monkeypatch.setattr(task, "own_store", lambda: SimpleNamespace(put=put))
    held: Any = SimpleNamespace(ids={each.id for each in claims} - lost)
    with ThreadPoolExecutor(4) as putting, Sources() as sources:
        begun = [task._begin(each, held, make, sources, putting) for each in claims]
        return [ending.result() for ending in begun]


def made(of: ItemClaim, _: Sources) -> StripFile:
    return StripFile(StripFacts(of.uri, 1, "0" * 64, 1), b"x")


def test_no_strip_is_made_for_a_claim_that_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def make(of: ItemClaim, sources: Sources) -> StripFile:
        begun.append(of.id)
        return made(of, sources)

    first, second = outcomes(monkeypatch, [claim(1), claim(2)], make, lambda *_: 0, frozenset({1}))
    assert (first.state, second.state, begun) == (State.CANCELLED, State.DONE, [2])


def test_a_strip_is_made_while_the_one_before_is_still_put(monkeypatch: pytest.MonkeyPatch) -> None:
    is_second_made = threading.Event()

    def make(of: ItemClaim, sources: Sources) -> StripFile:
        if of.id == 2:
            is_second_made.set()
        return made(of, sources)

    def put(key: str, data: bytes) -> int:
        if key == "1.ogg" and not is_second_made.wait(10):
            raise OSError(errno.EIO, "no step was done")
        return len(data)

    found = outcomes(monkeypatch, [claim(1), claim(2)], make, put)
    assert [outcome.state for outcome in found] == [State.DONE, State.DONE]


def test_a_strip_that_cannot_be_put_waits_for_another_attempt_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def put(key: str, data: bytes) -> int:
        if key == "2.ogg":
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)

    found = outcomes(monkeypatch, [claim(1), claim(2), claim(3), claim(4, is_made=True)], made, put)
    assert [outcome.state for outcome in found] == [State.DONE, State.WAITING, State.DONE, State.DONE]
    assert "No space left" in found[1].reason.sentence
    assert [outcome.strip is None for outcome in found] == [False, True, False, True]


@pytest.mark.parametrize(("message", "is_put_back"), [({"version": 2}, True), ({"version": 1, "path": "/x"}, False)])
def test_a_malformed_message_is_not_put_back(
    monkeypatch: pytest.MonkeyPatch, message: dict[str, object], is_put_back: bool
) -> None:
    monkeypatch.setattr(task, "PUT_BACK_PAUSE_S", 0.0)
    with pytest.raises(Reject) as refused:
        task._parsed(JobMessage.from_dict, message)
    assert refused.value.requeue is is_put_back
