"""Waiting for services that start at the same time as the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.engine import DatabaseUnusable
from domain.errors import BrokerUnreachable
from orchestrator import waiting
from orchestrator.waiting import wait_for


class Service:
    """One that answers the nth attempt."""

    def __init__(self, n: int, error: Exception) -> None:
        self.left, self.error = n, error

    def __call__(self) -> None:
        self.left -= 1
        if self.left:
            raise self.error


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PAUSE_S", 0.01)


@pytest.mark.parametrize("error", [DatabaseUnusable("no database"), BrokerUnreachable("no broker")])
def test_a_service_that_comes_later_is_waited_for_and_the_wait_is_said_once(error: Exception) -> None:
    said: list[str] = []
    service = Service(4, error)
    wait_for(service, 30, said.append)
    assert service.left == 0
    assert said == [f"waiting: {error}"]


def test_without_time_to_wait_the_first_refusal_is_the_last() -> None:
    service = Service(2, DatabaseUnusable("no database"))
    with pytest.raises(DatabaseUnusable):
        wait_for(service, 0, print)
    assert service.left == 1


def test_a_service_that_never_comes_is_given_up_with_the_reason() -> None:
    with pytest.raises(BrokerUnreachable, match="no broker"):
        wait_for(Service(10**9, BrokerUnreachable("no broker")), 0.1, print)


def test_a_process_that_waits_shows_progress(tmp_path: Path) -> None:
    progress = tmp_path / "progress"
    with pytest.raises(DatabaseUnusable):
        wait_for(Service(10**9, DatabaseUnusable("no database")), 0.1, print, progress)
    assert progress.exists()


def test_an_error_that_waiting_cannot_mend_is_raised_at_once() -> None:
    service = Service(3, ValueError("nonsense"))
    with pytest.raises(ValueError, match="nonsense"):
        wait_for(service, 30, print)
    assert service.left == 2
